// Activations over the vector wrapper. An ISA file includes its wrapper, defines SEAFORMER_ISA and
// SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/activate/activate.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/activations.inc"
#include "simd/each_span.inc"

template <class T, class F>
SEAFORMER_INLINE void activate_pixels(const Activate& args, const F& f) {
  const View<T> to = view<T>(args.pixels);
  const View<const T> addends = view<T>(args.residual);
  int64_t count = args.count, channels = args.channels;
  if (to.stride == channels && (addends.data == nullptr || addends.stride == channels)) {
    channels *= count;  // as one pixel, whose channels are all of them
    count = 1;
  }
  for (int64_t p = 0; p < count; ++p) {
    T* const at = to.data + p * to.stride;
    if (addends.data == nullptr) {
      each_span(channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
        span.store(at + c, each_of(span.load(at + c), f));
      });
    } else {
      const T* const addend = addends.data + p * addends.stride;
      each_span(channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
        span.store(at + c, add(each_of(span.load(at + c), f), span.load(addend + c)));
      });
    }
  }
}

template <class T>
void run(const Activate& args) {
#define SEAFORMER_CASE(enumerator, f) \
  case Activation::enumerator:        \
    return activate_pixels<T>(args, [](F32 x) SEAFORMER_LAMBDA_INLINE { return f; });
  switch (args.activation) {
    SEAFORMER_CASE(kNone, x)
    SEAFORMER_CASE(kRelu, relu(x))
    SEAFORMER_CASE(kRelu6, relu6(x))
    SEAFORMER_CASE(kHardSigmoid, hard_sigmoid(x))
    SEAFORMER_CASE(kHardSwish, hard_swish(x))
    SEAFORMER_CASE(kSilu, silu(x))
    SEAFORMER_CASE(kSigmoid, sigmoid(x))
    SEAFORMER_CASE(kGelu, gelu(x))
    SEAFORMER_CASE(kGeluTanh, gelu_tanh(x))
    default: {
      const F32 slope = slope_of(args.activation);
      activate_pixels<T>(args, [=](F32 x) SEAFORMER_LAMBDA_INLINE { return leaky_relu(x, slope); });
    }
  }
#undef SEAFORMER_CASE
}

}  // namespace

#if !defined(SEAFORMER_ONLY_BF16)
extern const ActivateKernel activate_f32, activate_f16;
const ActivateKernel activate_f32 = {SEAFORMER_ISA_ENUM, Element::kF32, kLanes, run<float>};
const ActivateKernel activate_f16 = {SEAFORMER_ISA_ENUM, Element::kF16, kLanes, run<Half>};
#endif
extern const ActivateKernel activate_bf16;
const ActivateKernel activate_bf16 = {SEAFORMER_ISA_ENUM, Element::kBF16, kLanes, run<BFloat16>};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
