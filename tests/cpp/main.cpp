// Runs every registered test, or those whose name contains one of the arguments, or with K/N the
// Kth of N parts of all.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "check.h"

namespace seaformer::test {
std::vector<TestCase>& registry() {
  static std::vector<TestCase> tests;
  return tests;
}
}  // namespace seaformer::test

int main(int argc, char** argv) {
  const std::vector<std::string> wanted(argv + 1, argv + argc);
  int part = 1, parts = 1;
  const bool all =
      wanted.empty() || (std::sscanf(argv[1], "%d/%d", &part, &parts) == 2 && parts > 0);
  int passed = 0, failed = 0, index = 0;
  for (const auto& test : seaformer::test::registry()) {
    const auto names_it = [&](auto& name) { return test.name.find(name) != std::string::npos; };
    if (!(all ? index++ % parts == part - 1
              : std::any_of(wanted.begin(), wanted.end(), names_it))) {
      continue;
    }
    try {
      test.body();
      ++passed;
      std::printf("ok      %s\n", test.name.c_str());
    } catch (const std::exception& error) {
      ++failed;
      std::printf("FAILED  %s: %s\n", test.name.c_str(), error.what());
    }
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
