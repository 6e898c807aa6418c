// The bilinear kernel over the vector wrapper. An ISA file includes its wrapper, defines
// SEAFORMER_ISA and SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/bilinear/bilinear.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/each_span.inc"

template <int N>
SEAFORMER_INLINE F32Group<N> between(F32Group<N> low_weight, F32Group<N> low,
                                     F32Group<N> high_weight, F32Group<N> high) {
  return fma(high_weight, high, mul(low_weight, low));
}

void blend(const float* low, const float* high, float low_weight, float high_weight, int64_t count,
           float* output) {
  each_span(count, [&](int64_t i, auto span) SEAFORMER_LAMBDA_INLINE {
    const auto l = splat_span(span, low_weight), h = splat_span(span, high_weight);
    span.store(output + i, between(l, span.load(low + i), h, span.load(high + i)));
  });
}

// What becomes of what lies between two columns.
enum class Use { kAlone, kGate, kShiftedGate };

// The columns of a run share their two sources, which are loaded once for all of them.
template <Use use>
SEAFORMER_INLINE void resize_run(const BilinearResize& args, View<float> to, const float* shifts,
                                 const ResizeRun& run, int64_t begin, int64_t end) {
  const float *low = args.row + (run.low - args.first) * args.channels,
              *high = args.row + (run.high - args.first) * args.channels;
  float* output = to.data + (begin - args.begin) * to.stride;
  each_span(args.channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
    const auto l = span.load(low + c), h = span.load(high + c);
    const auto zero = splat_span(span, 0.0f);
    const auto shift = use == Use::kShiftedGate ? span.load(shifts + c) : zero;
    float* at = output + c;
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

template <Use use>
void resize_runs(const BilinearResize& given, const float* shift) {
  const BilinearResize args = given;  // a copy that the stores to output cannot change
  const auto to = view<float>(args.output);
  const ResizeRun* run = args.runs;
  for (int64_t x = args.begin; x < args.end; ++run) {
    const int64_t end = run->end < args.end ? run->end : args.end;
    resize_run<use>(args, to, shift, *run, x, end);
    x = end;
  }
}

void resize(const BilinearResize& args) { resize_runs<Use::kAlone>(args, nullptr); }

void multiply(const BilinearMultiply& args) {
  args.shift == nullptr ? resize_runs<Use::kGate>(args, nullptr)
                        : resize_runs<Use::kShiftedGate>(args, args.shift);
}

}  // namespace

extern const BilinearKernel bilinear_kernel;
const BilinearKernel bilinear_kernel = {SEAFORMER_ISA_ENUM, kLanes, blend, resize, multiply};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
