// The scan over the vector wrapper. An ISA file includes its wrapper, defines SEAFORMER_ISA and
// SEAFORMER_ISA_ENUM, then includes this.
#pragma once

#include "kernels/logit_scan/logit_scan.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

constexpr int64_t kBlock = 16;  // logits of a mask
constexpr int kBlocks = 4;      // examined together: nearly always none of them passes

template <class T>
int64_t at_least(const void* x, int64_t count, float least, int32_t* found, float* values) {
  const T* from = static_cast<const T*>(x);
  const F32x16 limit = splat16(least);
  int64_t n = 0;
  const auto add = [&](int64_t i) SEAFORMER_LAMBDA_INLINE {
    found[n] = static_cast<int32_t>(i);
    values[n++] = to_float(from[i]);
  };
  const auto add_block = [&](int64_t i, Mask16 passes) SEAFORMER_LAMBDA_INLINE {
    for (Lanes16 set = lanes(passes); set.any(); set.drop_first()) add(i + set.first());
  };
  int64_t i = 0;
  for (; i + kBlocks * kBlock <= count; i += kBlocks * kBlock) {
    Mask16 passes[kBlocks];
    SEAFORMER_UNROLL
    for (int k = 0; k < kBlocks; ++k) {
      passes[k] = greater_equal(load16(from + i + k * kBlock), limit);
    }
    const Mask16 any = either(either(passes[0], passes[1]), either(passes[2], passes[3]));
    if (!lanes(any).any()) continue;
    SEAFORMER_UNROLL
    for (int k = 0; k < kBlocks; ++k) add_block(i + k * kBlock, passes[k]);
  }
  for (; i + kBlock <= count; i += kBlock) {
    add_block(i, greater_equal(load16(from + i), limit));
  }
  for (; i < count; ++i) {
    if (to_float(from[i]) >= least) add(i);
  }
  return n;
}

}  // namespace

extern const LogitScanKernel logit_scan_f32, logit_scan_f16, logit_scan_bf16;
const LogitScanKernel logit_scan_f32 = {SEAFORMER_ISA_ENUM, Element::kF32, kLanes, at_least<float>};
const LogitScanKernel logit_scan_f16 = {SEAFORMER_ISA_ENUM, Element::kF16, kLanes, at_least<Half>};
const LogitScanKernel logit_scan_bf16 = {SEAFORMER_ISA_ENUM, Element::kBF16, kLanes,
                                         at_least<BFloat16>};

}  // namespace SEAFORMER_ISA
}  // namespace seaformer
