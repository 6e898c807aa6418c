// A few lines of test harness: no test framework can be installed where these programs run.
#pragma once

#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace seaformer::test {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct TestCase {
  std::string name;
  std::function<void()> body;
};

std::vector<TestCase>& registry();

struct Register {
  Register(const char* name, std::function<void()> body) {
    registry().push_back({name, std::move(body)});
  }
};

template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (condition) return;
  std::ostringstream message;
  (message << ... << parts);
  throw Failure(message.str());
}

}  // namespace seaformer::test

#define TEST(NAME)                                                       \
  static void NAME();                                                    \
  static const ::seaformer::test::Register register_##NAME(#NAME, NAME); \
  static void NAME()
