// The conversions over the vector wrapper, whose loads widen and whose stores narrow. An ISA file
// includes its wrapper, defines SEAFORMER_ISA and SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/convert/convert.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/each_span.inc"

template <class From, class To>
void convert(const From* from, int64_t count, To* to) {
  each_span(count, [&](int64_t i, auto span)
                       SEAFORMER_LAMBDA_INLINE { span.store(to + i, span.load(from + i)); });
}

}  // namespace

extern const ConvertKernel convert_kernel;
const ConvertKernel convert_kernel = {SEAFORMER_ISA_ENUM, kLanes, convert<Half, float>,
                                      convert<float, Half>};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
