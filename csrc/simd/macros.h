// Compiler spellings shared by the wrappers and the kernels written over them.
#pragma once

#define SEAFORMER_INLINE static inline __attribute__((always_inline))
#define SEAFORMER_MEMBER_INLINE inline __attribute__((always_inline))
#define SEAFORMER_LAMBDA_INLINE __attribute__((always_inline))
#if defined(__clang__)
#define SEAFORMER_UNROLL _Pragma("unroll")
#define SEAFORMER_NO_UNROLL _Pragma("nounroll")
#else
#define SEAFORMER_UNROLL _Pragma("GCC unroll 32")
#define SEAFORMER_NO_UNROLL _Pragma("GCC unroll 1")
#endif
