// The bilinear kernel over the vector wrapper. An ISA file includes its wrapper, defines
// SEAFORMER_ISA and SEAFORMER_ISA_ENUM, and SEAFORMER_HALF_SUMS if the wrapper calculates with
// float16, then includes this.
#pragma once

#include "kernels/bilinear/bilinear.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/each_span.inc"

#if defined(SEAFORMER_HALF_SUMS)
constexpr Element kSums = Element::kF16;
#else
constexpr Element kSums = Element::kF32;
#endif

template <int N>
SEAFORMER_INLINE VectorGroup<N> between(VectorGroup<N> low_weight, VectorGroup<N> low,
                                        VectorGroup<N> high_weight, VectorGroup<N> high) {
  return fma(high_weight, high, mul(low_weight, low));
}

template <class T>
void blend(const void* lows, const void* highs, float low_weight, float high_weight, int64_t count,
           void* outputs) {
  const T *low = static_cast<const T*>(lows), *high = static_cast<const T*>(highs);
  T* output = static_cast<T*>(outputs);
  each_span(count, [&](int64_t i, auto span) SEAFORMER_LAMBDA_INLINE {
    const auto l = splat_span(span, low_weight), h = splat_span(span, high_weight);
    span.store(output + i, between(l, span.load(low + i), h, span.load(high + i)));
  });
}

// What becomes of what lies between two columns.
enum class Use { kAlone, kGate, kShiftedGate };

// The columns of a run share their two sources, which are loaded once for all of them.
template <Use use, class T>
SEAFORMER_INLINE void resize_run(const BilinearResize& args, View<T> to, const float* shifts,
                                 const ResizeRun& run, int64_t begin, int64_t end) {
  const T* row = static_cast<const T*>(args.row);
  const T *low = row + (run.low - args.first) * args.channels,
          *high = row + (run.high - args.first) * args.channels;
  T* output = to.data + (begin - args.begin) * to.stride;
  each_span(args.channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
    const auto l = span.load(low + c), h = span.load(high + c);
    const auto zero = splat_span(span, 0.0f);
    const auto shift = use == Use::kShiftedGate ? span.load(shifts + c) : zero;
    T* at = output + c;
    for (int64_t x = begin; x < end; ++x, at += to.stride) {
      const auto y = between(splat_span(span, args.low_weight[x]), l,
                             splat_span(span, args.high_weight[x]), h);
      if constexpr (use == Use::kAlone) {
        span.store(at, y);
      } else {
        const auto gated = span.load(at);
        const bool shifted = use == Use::kShiftedGate;
        span.store(at, shifted ? at_least(fma(gated, y, shift), zero) : mul(gated, y));
      }
    }
  });
}

template <Use use, class T>
void resize_runs(const BilinearResize& given, const float* shift) {
  const BilinearResize args = given;  // a copy that the stores to output cannot change
  const auto to = view<T>(args.output);
  const ResizeRun* run = args.runs;
  for (int64_t x = args.begin; x < args.end; ++run) {
    const int64_t end = run->end < args.end ? run->end : args.end;
    resize_run<use, T>(args, to, shift, *run, x, end);
    x = end;
  }
}

template <class T>
void resize(const BilinearResize& args) {
  resize_runs<Use::kAlone, T>(args, nullptr);
}

template <class T>
void multiply(const BilinearMultiply& args) {
  args.shift == nullptr ? resize_runs<Use::kGate, T>(args, nullptr)
                        : resize_runs<Use::kShiftedGate, T>(args, args.shift);
}

}  // namespace

#if !defined(SEAFORMER_ONLY_BF16)
extern const BilinearKernel bilinear_f16;
const BilinearKernel bilinear_f16 = {SEAFORMER_ISA_ENUM, Element::kF16, kSums,         kLanes,
                                     blend<Half>,        resize<Half>,  multiply<Half>};
#endif
#if !defined(SEAFORMER_ONLY_BF16) && !defined(SEAFORMER_HALF_SUMS)
extern const BilinearKernel bilinear_f32;
const BilinearKernel bilinear_f32 = {SEAFORMER_ISA_ENUM, Element::kF32, kSums,          kLanes,
                                     blend<float>,       resize<float>, multiply<float>};
#endif
#if !defined(SEAFORMER_HALF_SUMS)
extern const BilinearKernel bilinear_bf16;
const BilinearKernel bilinear_bf16 = {
    SEAFORMER_ISA_ENUM, Element::kBF16,    kSums, kLanes, blend<BFloat16>,
    resize<BFloat16>,   multiply<BFloat16>};
#endif

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
