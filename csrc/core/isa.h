// The instruction sets a kernel can be written for. Free of std:: code: ISA files include it.
#pragma once

#if defined(__x86_64__)
#define SEAFORMER_X86_64 1
#elif defined(__aarch64__)
#define SEAFORMER_AARCH64 1
#endif

// X(isa, ...) for every instruction set that the library is built for and the kernel has a file of,
// widest first.
#if defined(SEAFORMER_X86_64)
#define SEAFORMER_BUILT_ISAS(kernel, X, ...)         \
  SEAFORMER_IF_BUILT(kernel, avx512, X, __VA_ARGS__) \
  SEAFORMER_IF_BUILT(kernel, avx2, X, __VA_ARGS__)   \
  X(scalar, __VA_ARGS__)
#elif defined(SEAFORMER_AARCH64)
#define SEAFORMER_BUILT_ISAS(kernel, X, ...) \
  SEAFORMER_IF_BUILT(kernel, neon, X, __VA_ARGS__) X(scalar, __VA_ARGS__)
#else
#define SEAFORMER_BUILT_ISAS(kernel, X, ...) X(scalar, __VA_ARGS__)
#endif

// Where kernels/<kernel>/<isa>.cpp is missing or for another architecture, CMake defines
// SEAFORMER_LACKS_<kernel>_<isa> as `0,SEAFORMER_NOTHING`, which shifts X from the second place.
#define SEAFORMER_IF_BUILT(kernel, isa, X, ...) \
  SEAFORMER_SECOND(SEAFORMER_LACKS_##kernel##_##isa, X, 0)(isa, __VA_ARGS__)
#define SEAFORMER_SECOND(...) SEAFORMER_SECOND_OF(__VA_ARGS__)
#define SEAFORMER_SECOND_OF(first, second, ...) second
#define SEAFORMER_NOTHING(...)

// For those lists: the declaration of an ISA's variant of a kernel, and its address.
#define SEAFORMER_DECLARE_VARIANT(isa, Type, name) \
  namespace isa {                                  \
  extern const Type name;                          \
  }
#define SEAFORMER_VARIANT_ADDRESS(isa, name) &isa::name,

namespace seaformer {

// core/cpu.cpp says which implies which.
enum class Isa {
  kScalar,
  kNeon,
  kNeonFp16,
  kNeonBf16,
  kNeonDot,
  kNeonI8mm,
  kAvx2,
  kAvx512,
  kAvx512Fp16,
  kAmxBf16
};

}  // namespace seaformer
