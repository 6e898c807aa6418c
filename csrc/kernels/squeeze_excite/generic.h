// Sums and products of pixels over the vector wrapper. An ISA file includes its wrapper, defines
// SEAFORMER_ISA and SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/squeeze_excite/squeeze_excite.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/each_span.inc"

template <class T>
void add_up(const InPixels& pixels, int64_t count, int64_t channels, float* sums) {
  const View<const T> from = view<T>(pixels);
  each_span(channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
    auto sum = span.load(sums + c);
    const T* at = from.data + c;
    for (int64_t p = 0; p < count; ++p, at += from.stride) sum = add(sum, span.load(at));
    span.store(sums + c, sum);
  });
}

template <class T>
void scale(const OutPixels& pixels, int64_t count, int64_t channels, const float* by) {
  const View<T> to = view<T>(pixels);
  each_span(channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
    const auto factor = span.load(by + c);
    T* at = to.data + c;
    for (int64_t p = 0; p < count; ++p, at += to.stride) {
      span.store(at, mul(span.load(at), factor));
    }
  });
}

}  // namespace

#if !defined(SEAFORMER_ONLY_BF16)
extern const SqueezeExciteKernel squeeze_excite_f32, squeeze_excite_f16;
const SqueezeExciteKernel squeeze_excite_f32 = {SEAFORMER_ISA_ENUM, Element::kF32, kLanes,
                                                add_up<float>, scale<float>};
const SqueezeExciteKernel squeeze_excite_f16 = {SEAFORMER_ISA_ENUM, Element::kF16, kLanes,
                                                add_up<Half>, scale<Half>};
#endif
extern const SqueezeExciteKernel squeeze_excite_bf16;
const SqueezeExciteKernel squeeze_excite_bf16 = {SEAFORMER_ISA_ENUM, Element::kBF16, kLanes,
                                                 add_up<BFloat16>, scale<BFloat16>};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
