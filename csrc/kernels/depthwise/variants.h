// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/depthwise/depthwise.h"

namespace seaformer {

inline constexpr const DepthwiseKernel* kDepthwiseVariants[] = {
    SEAFORMER_DEPTHWISE_VARIANTS(SEAFORMER_VARIANT_ADDRESS, depthwise_kernel)};

inline const DepthwiseKernel& depthwise_kernel() { return choose_variant(kDepthwiseVariants); }

// Floats that the packed weights and biases of a convolution take.
int64_t packed_depthwise_floats(int64_t channels, int kernel_size);

// Packs weight [channels][kernel_size][kernel_size] and bias [channels], or null for none.
void pack_depthwise(int64_t channels, int kernel_size, const float* weight, const float* bias,
                    float* packed);

}  // namespace seaformer
