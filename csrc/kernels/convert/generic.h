// The conversions over the vector wrapper, whose loads widen and whose stores narrow. An ISA file
// includes its wrapper, defines SEAFORMER_ISA and SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/convert/convert.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/each_span.inc"

template <class T>
void widen(const void* from, int64_t count, float* to) {
  copy_elements(static_cast<const T*>(from), count, to);
}

template <class T>
void narrow(const float* from, int64_t count, void* to) {
  copy_elements(from, count, static_cast<T*>(to));
}

}  // namespace

#if !defined(SEAFORMER_ONLY_BF16)
extern const ConvertKernel convert_f32, convert_f16;
const ConvertKernel convert_f32 = {SEAFORMER_ISA_ENUM, Element::kF32, kLanes, widen<float>,
                                   narrow<float>};
const ConvertKernel convert_f16 = {SEAFORMER_ISA_ENUM, Element::kF16, kLanes, widen<Half>,
                                   narrow<Half>};
#endif
extern const ConvertKernel convert_bf16;
const ConvertKernel convert_bf16 = {SEAFORMER_ISA_ENUM, Element::kBF16, kLanes, widen<BFloat16>,
                                    narrow<BFloat16>};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
