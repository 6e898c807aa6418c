// The kernel over simd/bytes_<isa>.h, which an ISA's file includes before.
#pragma once

#include "kernels/int8_gate/int8_gate.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/each_vector.inc"

SEAFORMER_INLINE F32 ramp_of(const F32& x) {
  return at_most(at_least(add(x, splat(3.0f)), splat(0.0f)), splat(6.0f));
}

void ramp(float* x, int64_t count) {
  each_vector(count, [&](int64_t i, int64_t some) {
    store_some(x + i, some, [&](float* to) { store(to, ramp_of(load_some(x + i, some))); });
  });
}

void combine(const Int8Combine& given) {
  const Int8Combine args = given;  // a copy that the stores cannot change
  const auto values = view<float>(args.v);
  const auto to = view<int8_t>(args.output);
  each_vector(args.channels, [&](int64_t c, int64_t some) {
    const F32 row = load_some(args.row + c, some), scale = splat(args.scale);
    for (int64_t x = 0; x < args.width; ++x) {
      const F32 both = add(row, load_some(args.column + x * args.channels + c, some));
      const F32 sum = add(mul(load_some(values.data + x * values.stride + c, some), scale), both);
      store_some(to.data + x * to.stride + c, some,
                 [&](int8_t* q) { store_rounded(q, sum, args.zero); });
    }
  });
}

void gate(const Int8Gate& given) {
  const Int8Gate args = given;
  const auto gates = view<float>(args.gate), details = view<float>(args.detail);
  const auto residuals = view<int8_t>(args.residual);
  const auto to = view<int8_t>(args.output);
  for (int64_t p = 0; p < args.pixels; ++p) {
    each_vector(args.channels, [&](int64_t c, int64_t some) {
      F32 sum = mul(ramp_of(load_some(gates.data + p * gates.stride + c, some)),
                    load_some(details.data + p * details.stride + c, some));
      if (residuals.data != nullptr) {
        sum = add(sum, mul(load_some(residuals.data + p * residuals.stride + c, some),
                           splat(args.ratio)));
      }
      store_some(to.data + p * to.stride + c, some, [&](int8_t* q) { store_rounded(q, sum, 0); });
    });
  }
}

}  // namespace

extern const Int8GateKernel int8_gate = {SEAFORMER_ISA_ENUM, ramp, combine, gate};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
