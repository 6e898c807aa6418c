// The instruction sets a kernel can be written for. Free of std:: code: ISA files include it.
#pragma once

#if defined(__x86_64__)
#define SEAFORMER_X86_64 1
#elif defined(__aarch64__)
#define SEAFORMER_AARCH64 1
#endif

// X(name, ...) for every instruction set this library is built for, widest first.
#if defined(SEAFORMER_X86_64)
#define SEAFORMER_BUILT_ISAS(X, ...) \
  X(avx512, __VA_ARGS__) X(avx2, __VA_ARGS__) X(scalar, __VA_ARGS__)
#elif defined(SEAFORMER_AARCH64)
#define SEAFORMER_BUILT_ISAS(X, ...) X(neon, __VA_ARGS__) X(scalar, __VA_ARGS__)
#else
#define SEAFORMER_BUILT_ISAS(X, ...) X(scalar, __VA_ARGS__)
#endif

// For those lists: the declaration of an ISA's variant of a kernel, and its address.
#define SEAFORMER_DECLARE_VARIANT(isa, Type, name) \
  namespace isa {                                  \
  extern const Type name;                          \
  }
#define SEAFORMER_VARIANT_ADDRESS(isa, name) &isa::name,

namespace seaformer {

// Ordered from plain to wide: within one architecture a larger value implies the smaller ones.
enum class Isa { kScalar, kNeon, kAvx2, kAvx512 };

}  // namespace seaformer
