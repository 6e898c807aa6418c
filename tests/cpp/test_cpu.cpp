#include "check.h"
#include "core/cpu.h"
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
