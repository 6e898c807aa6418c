// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/pointwise/pointwise.h"

namespace seaformer {

inline constexpr const PointwiseKernel* kPointwiseVariants[] = {
    SEAFORMER_POINTWISE_VARIANTS(SEAFORMER_VARIANT_ADDRESS, pointwise_kernel)};

inline const PointwiseKernel& pointwise_kernel() { return choose_variant(kPointwiseVariants); }

// Floats that the packed weights and biases of a convolution take.
int64_t packed_pointwise_floats(int64_t in_channels, int64_t out_channels);

// Where the packed weights of an output channel begin. Those of the first one of a panel, and of
// all behind it, are by themselves packed weights of a convolution to these channels.
int64_t packed_pointwise_offset(int64_t in_channels, int64_t out_channel);

// Packs weight [out_channels][in_channels] and bias [out_channels], or null for none.
void pack_pointwise(int64_t in_channels, int64_t out_channels, const float* weight,
                    const float* bias, float* packed);

}  // namespace seaformer
