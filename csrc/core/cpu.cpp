#include "core/cpu.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(SEAFORMER_X86_64)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(SEAFORMER_AARCH64) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(SEAFORMER_AARCH64) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace seaformer {
namespace {

enum class Architecture { kAny, kX86_64, kAarch64 };

// Whether it has kernels of float32, or only of types that no block takes yet.
enum class Adds { kFloat32, kTypes };

struct IsaFacts {
  Isa isa;
  const char* name;
  Architecture architecture;
  Isa implied;                        // what it can run beside its own, and what that implies
  std::vector<const char*> features;  // that it requires beside those of what it implies
};

// Those that are preferred first.
const std::vector<IsaFacts>& isa_facts() {
  static const std::vector<IsaFacts> facts = {
      {Isa::kAmxBf16, "amx_bf16", Architecture::kX86_64, Isa::kAvx512, {"amx_tile", "amx_bf16"}},
      {Isa::kAvx512Fp16, "avx512_fp16", Architecture::kX86_64, Isa::kAvx512, {"avx512fp16"}},
      {Isa::kAvx512,
       "avx512",
       Architecture::kX86_64,
       Isa::kAvx2,
       {"avx512f", "avx512bw", "avx512dq", "avx512vl"}},
      {Isa::kAvx2,
       "avx2",
       Architecture::kX86_64,
       Isa::kScalar,
       {"avx2", "fma", "f16c", "bmi", "bmi2"}},
      {Isa::kNeonBf16, "neon_bf16", Architecture::kAarch64, Isa::kNeon, {"bf16"}},
      {Isa::kNeonFp16, "neon_fp16", Architecture::kAarch64, Isa::kNeon, {"asimdhp"}},
      {Isa::kNeonI8mm, "neon_i8mm", Architecture::kAarch64, Isa::kNeonDot, {"i8mm"}},
      {Isa::kNeonDot, "neon_dot", Architecture::kAarch64, Isa::kNeon, {"asimddp"}},
      {Isa::kNeon, "neon", Architecture::kAarch64, Isa::kScalar, {"asimd"}},
      {Isa::kScalar, "scalar", Architecture::kAny, Isa::kScalar, {}},
  };
  return facts;
}

const IsaFacts& facts_of(Isa isa) {
  for (const IsaFacts& facts : isa_facts()) {
    if (facts.isa == isa) return facts;
  }
  return isa_facts().back();
}

constexpr int kNotForced = -1;
std::atomic<int> g_forced{kNotForced};

struct Feature {
  const char* name;
  bool present;
};

#if defined(SEAFORMER_X86_64)
// Bits of EDX of leaf 7, of which the builtins of some compilers have no names.
constexpr unsigned kAmxBf16Bit = 1u << 22, kAvx512Fp16Bit = 1u << 23, kAmxTileBit = 1u << 24;

unsigned extended_features() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 ? edx : 0;
}

// Whether the operating system saves tiles and lets this process have them. Linux wants to be
// asked, and refuses where a thread's stack for signals has no room for them.
bool tiles_permitted() {
#if defined(__linux__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_OSXSAVE) == 0) return false;
  asm("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  constexpr unsigned kTileConfig = 1u << 17, kTileData = 1u << 18;
  if ((~eax & (kTileConfig | kTileData)) != 0) return false;
  constexpr long kRequestPermission = 0x1023, kTileDataState = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileDataState) == 0;
#else
  return false;
#endif
}
#elif defined(SEAFORMER_AARCH64) && defined(__APPLE__)
bool system_has(const char* feature) {
  int value = 0;
  std::size_t size = sizeof(value);
  return sysctlbyname(feature, &value, &size, nullptr, 0) == 0 && value != 0;
}
#endif

std::vector<Feature> probe_features() {
#if defined(SEAFORMER_X86_64)
  const unsigned extended = extended_features();
  // The builtin also asks the operating system whether it saves the wide registers.
  return {
      {"sse4.2", bool(__builtin_cpu_supports("sse4.2"))},
      {"avx2", bool(__builtin_cpu_supports("avx2"))},
      {"fma", bool(__builtin_cpu_supports("fma"))},
      {"f16c", bool(__builtin_cpu_supports("f16c"))},
      {"bmi", bool(__builtin_cpu_supports("bmi"))},
      {"bmi2", bool(__builtin_cpu_supports("bmi2"))},
      {"avx512f", bool(__builtin_cpu_supports("avx512f"))},
      {"avx512bw", bool(__builtin_cpu_supports("avx512bw"))},
      {"avx512dq", bool(__builtin_cpu_supports("avx512dq"))},
      {"avx512vl", bool(__builtin_cpu_supports("avx512vl"))},
      {"avx512vnni", bool(__builtin_cpu_supports("avx512vnni"))},
      {"avx512bf16", bool(__builtin_cpu_supports("avx512bf16"))},
      {"avx512fp16", (extended & kAvx512Fp16Bit) != 0},
      {"amx_tile", (extended & kAmxTileBit) != 0 && tiles_permitted()},
      {"amx_bf16", (extended & kAmxBf16Bit) != 0},
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

bool built_for(Architecture architecture) {
#if defined(SEAFORMER_X86_64)
  return architecture == Architecture::kAny || architecture == Architecture::kX86_64;
#elif defined(SEAFORMER_AARCH64)
  return architecture == Architecture::kAny || architecture == Architecture::kAarch64;
#else
  return architecture == Architecture::kAny;
#endif
}

// Empty when the instruction set can be used here.
std::string why_unsupported(const IsaFacts& facts) {
  if (!built_for(facts.architecture)) {
    return std::string("this library is built for ") + built_for();
  }
  std::string missing;
  if (facts.implied != facts.isa) missing = why_unsupported(facts_of(facts.implied));
  for (const char* required : facts.features) {
    for (const Feature& feature : features()) {
      if (!feature.present && std::string(required) == feature.name) {
        missing += missing.empty() ? "this processor lacks " : ", ";
        missing += required;
      }
    }
  }
  return missing;
}

std::string supported_names() {
  std::string names;
  for (const IsaStatus& status : isa_statuses()) {
    if (status.supported) names += (names.empty() ? "" : ", ") + std::string(isa_name(status.isa));
  }
  return names;
}

// What the environment names, if it does.
std::optional<Isa> isa_of_environment() {
  const char* name = std::getenv("SEAFORMER_FORCE_ISA");
  if (name == nullptr || *name == '\0') return std::nullopt;
  try {
    return parse_isa(name);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(std::string("SEAFORMER_FORCE_ISA: ") + error.what());
  }
}

// What was forced or named, if anything was.
std::optional<Isa> named_isa() {
  const int forced = g_forced.load(std::memory_order_relaxed);
  if (forced != kNotForced) return static_cast<Isa>(forced);
  // A throw leaves it unset: every call reports a bad name.
  static const std::optional<Isa> named = isa_of_environment();
  return named;
}

}  // namespace

const char* isa_name(Isa isa) { return facts_of(isa).name; }

const std::vector<IsaStatus>& isa_statuses() {
  static const std::vector<IsaStatus> statuses = [] {
    std::vector<IsaStatus> all;
    for (const IsaFacts& facts : isa_facts()) {
      const std::string reason = why_unsupported(facts);
      all.push_back({facts.isa, reason.empty(), reason});
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
  static const std::vector<Isa> supported = [] {
    std::vector<Isa> all;
    for (const IsaFacts& facts : isa_facts()) {
      if (why_unsupported(facts).empty()) all.push_back(facts.isa);
    }
    return all;
  }();
  return std::find(supported.begin(), supported.end(), isa) != supported.end();
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
  if (const std::optional<Isa> named = named_isa()) return *named;
  for (const IsaStatus& status : isa_statuses()) {
    if (status.supported) return status.isa;
  }
  return Isa::kScalar;
}

bool isa_in_use(Isa isa) {
  const std::optional<Isa> named = named_isa();
  if (!named) return isa_supported(isa);
  for (Isa implied = *named; implied != isa; implied = facts_of(implied).implied) {
    if (implied == Isa::kScalar) return false;
  }
  return true;
}

std::optional<Isa> force_isa(std::optional<Isa> isa) {
  if (isa) parse_isa(isa_name(*isa));
  const int before = g_forced.exchange(isa ? static_cast<int>(*isa) : kNotForced);
  if (before == kNotForced) return std::nullopt;
  return static_cast<Isa>(before);
}

}  // namespace seaformer
