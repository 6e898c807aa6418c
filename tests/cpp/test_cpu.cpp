#include "check.h"
#include "core/cpu.h"
#include "core/dispatch.h"
#include "kernels/kernels.h"

using namespace seaformer;
using test::check;

namespace {

std::string message_of(const std::string& name) {
  try {
    parse_isa(name);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST(isa_scalar_is_always_there) {
  check(isa_supported(Isa::kScalar), "scalar is not supported");
  check(parse_isa("scalar") == Isa::kScalar, "'scalar' is not parsed");
}

TEST(isa_unknown_name_lists_what_there_is) {
  const std::string message = message_of("mmx");
  check(message.find("mmx") != std::string::npos, "does not name what came: ", message);
  check(message.find("scalar") != std::string::npos, "does not list the supported: ", message);
}

TEST(isa_missing_here_says_why) {
  int missing = 0;
  for (const IsaStatus& status : isa_statuses()) {
    if (status.supported) continue;
    ++missing;
    const std::string message = message_of(isa_name(status.isa));
    check(!status.reason.empty() && message.find(status.reason) != std::string::npos,
          "no reason in: ", message);
  }
  check(missing > 0, "some ISA of another architecture must be missing");
}

// As CMake would, were kernels/example/ to lack a file.
#define SEAFORMER_LACKS_example_avx2 0, SEAFORMER_NOTHING
#define SEAFORMER_LACKS_example_neon 0, SEAFORMER_NOTHING
#define ISA_NAME(isa, ...) #isa __VA_ARGS__,

TEST(a_kernel_without_a_file_has_no_such_variant) {
  const std::vector<std::string> whole = {SEAFORMER_BUILT_ISAS(whole, ISA_NAME, "!")};
  const std::vector<std::string> lacking = {SEAFORMER_BUILT_ISAS(example, ISA_NAME, "!")};
  std::vector<std::string> expected;
  for (const std::string& isa : whole) {
    if (isa != "avx2!" && isa != "neon!") expected.push_back(isa);
  }
  check(lacking == expected && lacking.back() == "scalar!", lacking.size(), " of ", whole.size());
  check(whole.size() == kernel_statuses()[0].variants.size(), "a whole kernel has ", whole.size());
}

TEST(a_kernel_without_a_variant_falls_back_to_the_next_narrower) {
  struct Variant {
    Isa isa;
  };
  const Variant scalar{Isa::kScalar}, avx2{Isa::kAvx2}, avx512{Isa::kAvx512};
  const Variant* const without_avx512[] = {&avx2, &scalar};
  const Variant* const without_avx2[] = {&avx512, &scalar};
  const Variant* const scalar_only[] = {&scalar};
  const auto expect = [](Isa forced, const auto& table, Isa expected) {
    if (!isa_supported(forced)) return;
    force_isa(forced);
    const Isa chosen = choose_variant(table).isa;
    force_isa(std::nullopt);
    check(chosen == expected, isa_name(forced), " is forced: expected ", isa_name(expected),
          ", got ", isa_name(chosen));
  };
  expect(Isa::kAvx512, without_avx512, Isa::kAvx2);
  expect(Isa::kAvx512, without_avx2, Isa::kAvx512);
  expect(Isa::kAvx2, without_avx2, Isa::kScalar);
  for (const Isa isa : {Isa::kNeon, Isa::kAvx2, Isa::kAvx512, Isa::kScalar}) {
    expect(isa, scalar_only, Isa::kScalar);
  }
}

TEST(isa_forced_is_active_until_released) {
  const Isa automatic = active_isa();
  check(!force_isa(Isa::kScalar).has_value(), "something was forced before");
  check(active_isa() == Isa::kScalar, "the forced ISA is not active");
  for (const KernelStatus& kernel : kernel_statuses()) {
    check(kernel.chosen == Isa::kScalar, kernel.name, " ignores the forced ISA");
  }
  check(force_isa(std::nullopt) == Isa::kScalar, "the last forced ISA is not returned");
  check(active_isa() == automatic, "releasing does not return to the automatic choice");
}

TEST(kernels_choose_the_widest_supported_variant) {
  for (const KernelStatus& kernel : kernel_statuses()) {
    for (Isa isa : kernel.variants) {
      if (!isa_supported(isa)) continue;
      check(kernel.chosen == isa, kernel.name, " chose ", isa_name(kernel.chosen), ", not ",
            isa_name(isa));
      break;
    }
  }
}
