// Runs every registered test, or those whose name contains the argument.
#include <cstdio>
#include <cstring>

#include "check.h"

namespace seaformer::test {
std::vector<TestCase>& registry() {
  static std::vector<TestCase> tests;
  return tests;
}
}  // namespace seaformer::test

int main(int argc, char** argv) {
  int passed = 0, failed = 0;
  for (const auto& test : seaformer::test::registry()) {
    if (argc > 1 && test.name.find(argv[1]) == std::string::npos) continue;
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
