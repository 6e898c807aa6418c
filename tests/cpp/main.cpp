// Runs every registered test, or those whose name contains one of the arguments, or with K/N the
// Kth of N parts of all. After --isa NAME[,NAME...] they run those instruction sets alone.
#include <algorithm>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "check.h"
#include "core/cpu.h"
#include "tested_isas.h"

namespace seaformer::test {
namespace {

std::vector<Isa> named_isas;

}  // namespace

bool is_tested(Isa isa) {
  const auto first = named_isas.begin(), last = named_isas.end();
  return isa_supported(isa) && (named_isas.empty() || std::find(first, last, isa) != last);
}

std::vector<TestCase>& registry() {
  static std::vector<TestCase> tests;
  return tests;
}
}  // namespace seaformer::test

int main(int argc, char** argv) {
  std::vector<std::string> wanted(argv + 1, argv + argc);
  if (wanted.size() >= 2 && wanted[0] == "--isa") {
    std::istringstream names(wanted[1]);
    for (std::string name; std::getline(names, name, ',');) {
      seaformer::test::named_isas.push_back(seaformer::parse_isa(name));
    }
    wanted.erase(wanted.begin(), wanted.begin() + 2);
  }
  int part = 1, parts = 1;
  const bool all =
      wanted.empty() || (std::sscanf(wanted[0].c_str(), "%d/%d", &part, &parts) == 2 && parts > 0);
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
