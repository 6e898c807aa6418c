// The bilinear kernel over the vector wrapper. An ISA file includes its wrapper, defines
// SEAFORMER_ISA and SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/bilinear/bilinear.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

// Calls body(i, lanes) for every vector of `count` floats; only the last may have fewer lanes.
template <class Body>
SEAFORMER_INLINE void each_vector(int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
  if (i < count) body(i, static_cast<int>(count - i));
}

SEAFORMER_INLINE F32 between(F32 low_weight, F32 low, F32 high_weight, F32 high) {
  return fma(high_weight, high, mul(low_weight, low));
}

void blend(const float* low, const float* high, float low_weight, float high_weight, int64_t count,
           float* output) {
  const F32 l = splat(low_weight), h = splat(high_weight);
  each_vector(count, [&](int64_t i, int lanes) SEAFORMER_LAMBDA_INLINE {
    store_first(output + i, between(l, load_first(low + i, lanes), h, load_first(high + i, lanes)),
                lanes);
  });
}

// The columns of a run share their two sources, which are loaded once for all of them.
template <bool shifts>
SEAFORMER_INLINE void multiply_run(const BilinearMultiply& args, const ResizeRun& run,
                                   int64_t begin, int64_t end) {
  const float *low = args.row + run.low * args.channels,
              *high = args.row + run.high * args.channels;
  float* output = args.output + (begin - args.begin) * args.output_stride;
  const F32 zero = splat(0.0f);
  each_vector(args.channels, [&](int64_t c, int lanes) SEAFORMER_LAMBDA_INLINE {
    const F32 l = load_first(low + c, lanes), h = load_first(high + c, lanes);
    const F32 shift = shifts ? load_first(args.shift + c, lanes) : zero;
    float* at = output + c;
    for (int64_t x = begin; x < end; ++x, at += args.output_stride) {
      const F32 gate = between(splat(args.low_weight[x]), l, splat(args.high_weight[x]), h);
      const F32 y = load_first(at, lanes);
      store_first(at, shifts ? at_least(fma(y, gate, shift), zero) : mul(y, gate), lanes);
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
