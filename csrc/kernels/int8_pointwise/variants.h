// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/int8_pointwise/int8_pointwise.h"

namespace seaformer {

inline constexpr const Int8PointwiseKernel* kInt8PointwiseVariants[] = {
#define SEAFORMER_ROW(isa) \
  SEAFORMER_IF_BUILT(int8_pointwise, isa, SEAFORMER_VARIANT_ADDRESS, int8_pointwise)
#include "kernels/int8_pointwise/variants.inc"
#undef SEAFORMER_ROW
};

inline const Int8PointwiseKernel& int8_pointwise_kernel() {
  return choose_variant(kInt8PointwiseVariants);
}

// What a layer of int8 maps is before it is packed, each array of the output channels.
struct Int8Layer {
  const int8_t* weight;     // [out_channels][inputs], from -127 on
  const int32_t* bias;      // for inputs less their zero point
  const float* multiplier;  // multiples of kMultiplierUnit
};

// Bytes that the packed weights of a convolution take.
int64_t packed_int8_pointwise_bytes(int64_t in_channels, int64_t out_channels);

// Packs a layer that reads and writes maps of these zero points.
void pack_int8_pointwise(int64_t in_channels, int64_t out_channels, const Int8Layer& layer,
                         int32_t zero_in, int32_t zero_out, void* packed);

// The same for a depthwise convolution: of each panel the four arrays, with the biases as the layer
// has them, then the weights of each tap, row by row.
int64_t packed_int8_depthwise_bytes(int64_t channels, int kernel_size);
void pack_int8_depthwise(int64_t channels, int kernel_size, const Int8Layer& layer,
                         int32_t zero_out, void* packed);

}  // namespace seaformer
