// A dozen independent chains of multiply-adds: enough for any processor.
#pragma once
#include "kernels/fma_peak/fma_peak.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

constexpr int kChains = 12;  // beside two operands, within 16 registers

float rounds(int64_t count) {
  F32 sum[kChains];
  SEAFORMER_UNROLL
  for (int i = 0; i < kChains; ++i) sum[i] = splat(static_cast<float>(i));
  const F32 a = splat(0.999f), b = splat(1e-3f);
  for (int64_t n = 0; n < count; ++n) {
    SEAFORMER_UNROLL
    for (int i = 0; i < kChains; ++i) sum[i] = fma(sum[i], a, b);
  }
  float total = 0;
  SEAFORMER_UNROLL
  for (int i = 0; i < kChains; ++i) total += reduce_max(sum[i]);
  return total;
}

}  // namespace

extern const FmaPeak fma_peak;
const FmaPeak fma_peak = {SEAFORMER_ISA_ENUM, kChains * kLanes, rounds};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
