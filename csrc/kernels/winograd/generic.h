// Both transforms over the vector wrapper. An ISA file includes its wrapper, defines SEAFORMER_ISA
// and SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/winograd/winograd.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

// Calls body(c, lanes) for vectors of channels from c on, of which the last may be less.
template <class Body>
SEAFORMER_INLINE void each_channels(int64_t count, const Body& body) {
  int64_t c = 0;
  for (; c + kLanes <= count; c += kLanes) body(c, kLanes);
  if (c < count) body(c, static_cast<int>(count - c));
}

void input(const WinogradInput& args) {
  each_channels(args.channels, [&](int64_t c, int lanes) SEAFORMER_LAMBDA_INLINE {
    F32 rows[4][4];  // B^T patch
    SEAFORMER_UNROLL
    for (int j = 0; j < 4; ++j) {
      F32 x[4];
      SEAFORMER_UNROLL
      for (int i = 0; i < 4; ++i) x[i] = load_first(args.patch[4 * i + j] + c, lanes);
      rows[0][j] = sub(x[0], x[2]);
      rows[1][j] = add(x[1], x[2]);
      rows[2][j] = sub(x[2], x[1]);
      rows[3][j] = sub(x[1], x[3]);
    }
    float* to = args.output + c;
    const auto next = [&](F32 x) SEAFORMER_LAMBDA_INLINE {
      store_first(to, x, lanes);
      to += args.stride;
    };
    SEAFORMER_UNROLL
    for (int i = 0; i < 4; ++i) {
      next(sub(rows[i][0], rows[i][2]));
      next(add(rows[i][1], rows[i][2]));
      next(sub(rows[i][2], rows[i][1]));
      next(sub(rows[i][1], rows[i][3]));
    }
  });
}

void output(const WinogradOutput& args) {
  const F32 low = splat(args.bounds.low), high = splat(args.bounds.high);
  each_channels(args.channels, [&](int64_t c, int lanes) SEAFORMER_LAMBDA_INLINE {
    const float* from = args.products + c;
    F32 rows[2][4];  // A^T products
    SEAFORMER_UNROLL
    for (int j = 0; j < 4; ++j) {
      F32 x[4];
      SEAFORMER_UNROLL
      for (int i = 0; i < 4; ++i) x[i] = load_first(from + (4 * i + j) * args.stride, lanes);
      const F32 sum = add(x[1], x[2]), difference = sub(x[1], x[2]);
      rows[0][j] = add(x[0], sum);
      rows[1][j] = sub(difference, x[3]);
    }
    SEAFORMER_UNROLL
    for (int i = 0; i < 2; ++i) {
      const F32 sum = add(rows[i][1], rows[i][2]), difference = sub(rows[i][1], rows[i][2]);
      const F32 pair[] = {add(rows[i][0], sum), sub(difference, rows[i][3])};
      SEAFORMER_UNROLL
      for (int j = 0; j < 2; ++j) {
        store_first(args.square[2 * i + j] + c, at_most(at_least(pair[j], low), high), lanes);
      }
    }
  });
}

}  // namespace

extern const WinogradKernel winograd_kernel;
const WinogradKernel winograd_kernel = {SEAFORMER_ISA_ENUM, kLanes, input, output};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
