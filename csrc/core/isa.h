// The instruction sets a kernel can be written for. Free of std:: code: ISA files include it.
#pragma once

#if defined(__x86_64__)
#define SEAFORMER_X86_64 1
#elif defined(__aarch64__)
#define SEAFORMER_AARCH64 1
#endif

// X(name) for every instruction set this library is built for, widest first.
#if defined(SEAFORMER_X86_64)
#define SEAFORMER_BUILT_ISAS(X) X(avx512) X(avx2) X(scalar)
#elif defined(SEAFORMER_AARCH64)
#define SEAFORMER_BUILT_ISAS(X) X(neon) X(scalar)
#else
#define SEAFORMER_BUILT_ISAS(X) X(scalar)
#endif

namespace seaformer {

// Ordered from plain to wide: within one architecture a larger value implies the smaller ones.
enum class Isa { kScalar, kNeon, kAvx2, kAvx512 };

}  // namespace seaformer
