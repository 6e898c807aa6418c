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

// Bytes that the packed weights of a convolution take.
int64_t packed_int8_pointwise_bytes(int64_t in_channels, int64_t out_channels);

// Where the panel of an output channel begins, the first of a panel. From there on lie, by
// themselves, packed weights of a convolution to that channel and those behind it.
int64_t packed_int8_pointwise_offset(int64_t in_channels, int64_t out_channel);

// Packs weight [out_channels][in_channels], bias [out_channels] of sums of inputs less their zero
// point, and multiplier [out_channels], for maps of these zero points.
void pack_int8_pointwise(int64_t in_channels, int64_t out_channels, const int8_t* weight,
                         const int32_t* bias, const float* multiplier, int32_t zero_in,
                         int32_t zero_out, void* packed);

}  // namespace seaformer
