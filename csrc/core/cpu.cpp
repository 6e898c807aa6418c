#include "core/cpu.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(SEAFORMER_AARCH64) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(SEAFORMER_AARCH64) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace seaformer {
namespace {

constexpr Isa kWidestFirst[] = {Isa::kAvx512, Isa::kAvx2, Isa::kNeon, Isa::kScalar};
constexpr int kNotForced = -1;
std::atomic<int> g_forced{kNotForced};

struct Feature {
  const char* name;
  bool present;
};

#if defined(SEAFORMER_AARCH64) && defined(__APPLE__)
bool system_has(const char* feature) {
  int value = 0;
  std::size_t size = sizeof(value);
  return sysctlbyname(feature, &value, &size, nullptr, 0) == 0 && value != 0;
}
#endif

std::vector<Feature> probe_features() {
#if defined(SEAFORMER_X86_64)
  // The builtin also asks the operating system whether it saves the wide registers.
  return {
      {"sse4.2", bool(__builtin_cpu_supports("sse4.2"))},
      {"avx2", bool(__builtin_cpu_supports("avx2"))},
      {"fma", bool(__builtin_cpu_supports("fma"))},
      {"bmi", bool(__builtin_cpu_supports("bmi"))},
      {"bmi2", bool(__builtin_cpu_supports("bmi2"))},
      {"avx512f", bool(__builtin_cpu_supports("avx512f"))},
      {"avx512bw", bool(__builtin_cpu_supports("avx512bw"))},
      {"avx512dq", bool(__builtin_cpu_supports("avx512dq"))},
      {"avx512vl", bool(__builtin_cpu_supports("avx512vl"))},
      {"avx512vnni", bool(__builtin_cpu_supports("avx512vnni"))},
      {"avx512bf16", bool(__builtin_cpu_supports("avx512bf16"))},
  };
#elif defined(SEAFORMER_AARCH64) && defined(__linux__)
  const unsigned long hwcap = getauxval(AT_HWCAP);
  const unsigned long hwcap2 = getauxval(AT_HWCAP2);
  return {
      {"asimd", bool(hwcap & HWCAP_ASIMD)},     {"atomics", bool(hwcap & HWCAP_ATOMICS)},
      {"asimdhp", bool(hwcap & HWCAP_ASIMDHP)}, {"asimddp", bool(hwcap & HWCAP_ASIMDDP)},
      {"sve", bool(hwcap & HWCAP_SVE)},         {"sve2", bool(hwcap2 & (1ul << 1))},
      {"i8mm", bool(hwcap2 & (1ul << 13))},     {"bf16", bool(hwcap2 & (1ul << 14))},
  };
#elif defined(SEAFORMER_AARCH64) && defined(__APPLE__)
  return {
      {"asimd", true},  // every ARM Mac has it
      {"atomics", system_has("hw.optional.arm.FEAT_LSE")},
      {"asimdhp", system_has("hw.optional.arm.FEAT_FP16")},
      {"asimddp", system_has("hw.optional.arm.FEAT_DotProd")},
      {"i8mm", system_has("hw.optional.arm.FEAT_I8MM")},
      {"bf16", system_has("hw.optional.arm.FEAT_BF16")},
  };
#elif defined(SEAFORMER_AARCH64)
  return {{"asimd", true}};
#else
  return {};
#endif
}

const std::vector<Feature>& features() {
  static const std::vector<Feature> probed = probe_features();
  return probed;
}

const char* built_for() {
#if defined(SEAFORMER_X86_64)
  return "x86_64";
#elif defined(SEAFORMER_AARCH64)
  return "aarch64";
#else
  return "another architecture";
#endif
}

bool built_for(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return true;
#if defined(SEAFORMER_X86_64)
    case Isa::kAvx2:
    case Isa::kAvx512:
      return true;
#elif defined(SEAFORMER_AARCH64)
    case Isa::kNeon:
      return true;
#endif
    default:
      return false;
  }
}

std::vector<const char*> required_features(Isa isa) {
  switch (isa) {
    case Isa::kNeon:
      return {"asimd"};
    case Isa::kAvx2:
      return {"avx2", "fma", "bmi", "bmi2"};
    case Isa::kAvx512:
      return {"avx2", "fma", "bmi", "bmi2", "avx512f", "avx512bw", "avx512dq", "avx512vl"};
    default:
      return {};
  }
}

// Empty when the instruction set can be used here.
std::string why_unsupported(Isa isa) {
  if (!built_for(isa)) return std::string("this library is built for ") + built_for();
  std::string missing;
  for (const char* required : required_features(isa)) {
    for (const Feature& feature : features()) {
      if (!feature.present && std::string(required) == feature.name) {
        missing += missing.empty() ? required : std::string(", ") + required;
      }
    }
  }
  return missing.empty() ? missing : "this processor lacks " + missing;
}

std::string supported_names() {
  std::string names;
  for (Isa isa : kWidestFirst) {
    if (isa_supported(isa)) names += (names.empty() ? "" : ", ") + std::string(isa_name(isa));
  }
  return names;
}

Isa default_isa() {
  const char* name = std::getenv("SEAFORMER_FORCE_ISA");
  if (name != nullptr && *name != '\0') {
    try {
      return parse_isa(name);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(std::string("SEAFORMER_FORCE_ISA: ") + error.what());
    }
  }
  for (Isa isa : kWidestFirst) {
    if (isa_supported(isa)) return isa;
  }
  return Isa::kScalar;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kNeon:
      return "neon";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    default:
      return "scalar";
  }
}

const std::vector<IsaStatus>& isa_statuses() {
  static const std::vector<IsaStatus> statuses = [] {
    std::vector<IsaStatus> all;
    for (Isa isa : kWidestFirst) {
      const std::string reason = why_unsupported(isa);
      all.push_back({isa, reason.empty(), reason});
    }
    return all;
  }();
  return statuses;
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> names;
  for (const Feature& feature : features()) {
    if (feature.present) names.emplace_back(feature.name);
  }
  return names;
}

bool isa_supported(Isa isa) {
  for (const IsaStatus& status : isa_statuses()) {
    if (status.isa == isa) return status.supported;
  }
  return false;
}

Isa parse_isa(const std::string& name) {
  for (const IsaStatus& status : isa_statuses()) {
    if (name != isa_name(status.isa)) continue;
    if (status.supported) return status.isa;
    throw std::invalid_argument("ISA '" + name + "' cannot be used here: " + status.reason +
                                "; expected one of: " + supported_names());
  }
  throw std::invalid_argument("unknown ISA '" + name + "'; expected one of: " + supported_names());
}

Isa active_isa() {
  const int forced = g_forced.load(std::memory_order_relaxed);
  if (forced != kNotForced) return static_cast<Isa>(forced);
  static const Isa isa = default_isa();  // a throw leaves it unset: every call reports a bad name
  return isa;
}

std::optional<Isa> force_isa(std::optional<Isa> isa) {
  if (isa) parse_isa(isa_name(*isa));
  const int before = g_forced.exchange(isa ? static_cast<int>(*isa) : kNotForced);
  if (before == kNotForced) return std::nullopt;
  return static_cast<Isa>(before);
}

}  // namespace seaformer
