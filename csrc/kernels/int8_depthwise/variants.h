// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/int8_depthwise/int8_depthwise.h"

namespace seaformer {

inline constexpr const Int8DepthwiseKernel* kInt8DepthwiseVariants[] = {
#define SEAFORMER_ROW(isa) \
  SEAFORMER_IF_BUILT(int8_depthwise, isa, SEAFORMER_VARIANT_ADDRESS, int8_depthwise)
#include "kernels/int8_depthwise/variants.inc"
#undef SEAFORMER_ROW
};

inline const Int8DepthwiseKernel& int8_depthwise_kernel() {
  return choose_variant(kInt8DepthwiseVariants);
}

// Bytes that the packed weights of a convolution take.
int64_t packed_int8_depthwise_bytes(int64_t channels, int kernel_size);

// Packs weight [channels][kernel_size][kernel_size], bias [channels] of sums of inputs less their
// zero point, and multiplier [channels], for an output of a zero point.
void pack_int8_depthwise(int64_t channels, int kernel_size, const int8_t* weight,
                         const int32_t* bias, const float* multiplier, int32_t zero_out,
                         void* packed);

}  // namespace seaformer
