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

// The columns of a run share their two sources, which are loaded once for all of them.
template <bool shifts>
SEAFORMER_INLINE void multiply_run(const BilinearMultiply& args, const ResizeRun& run,
                                   int64_t begin, int64_t end) {
  const float *low = args.row + run.low * args.channels,
              *high = args.row + run.high * args.channels;
  float* output = args.output.data + (begin - args.begin) * args.output.stride;
  each_span(args.channels, [&](int64_t c, auto span) SEAFORMER_LAMBDA_INLINE {
    const auto l = span.load(low + c), h = span.load(high + c);
    const auto zero = splat_span(span, 0.0f);
    const auto shift = shifts ? span.load(args.shift + c) : zero;
    float* at = output + c;
    for (int64_t x = begin; x < end; ++x, at += args.output.stride) {
      const auto gate = between(splat_span(span, args.low_weight[x]), l,
                                splat_span(span, args.high_weight[x]), h);
      const auto y = span.load(at);
      span.store(at, shifts ? at_least(fma(y, gate, shift), zero) : mul(y, gate));
    }
  });
}

template <bool shifts>
void multiply_runs(const BilinearMultiply& given) {
  const BilinearMultiply args = given;  // a copy that the stores to output cannot change
  const ResizeRun* run = args.runs;
  for (int64_t x = args.begin; x < args.end; ++run) {
    const int64_t end = run->end < args.end ? run->end : args.end;
    multiply_run<shifts>(args, *run, x, end);
    x = end;
  }
}

void multiply(const BilinearMultiply& args) {
  args.shift == nullptr ? multiply_runs<false>(args) : multiply_runs<true>(args);
}

}  // namespace

extern const BilinearKernel bilinear_kernel;
const BilinearKernel bilinear_kernel = {SEAFORMER_ISA_ENUM, kLanes, blend, multiply};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
