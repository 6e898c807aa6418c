// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/pointwise/pointwise.h"

namespace seaformer {

inline constexpr const PointwiseKernel* kPointwiseVariants[] = {
#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(pointwise, isa, SEAFORMER_VARIANT_ADDRESS, pointwise_##element)
#include "kernels/pointwise/variants.inc"
#undef SEAFORMER_ROW
};

inline const PointwiseKernel& pointwise_kernel(Element element = Element::kF32) {
  return choose_variant(kPointwiseVariants, element);
}

// Elements that the packed weights and biases of a convolution take.
int64_t packed_pointwise_floats(int64_t in_channels, int64_t out_channels);

// Where the packed weights of an output channel begin. Those of the first one of a panel, and of
// all behind it, are by themselves packed weights of a convolution to these channels.
int64_t packed_pointwise_offset(int64_t in_channels, int64_t out_channel);

// Packs weight [out_channels][in_channels] and bias [out_channels], or null for none, as elements
// of a type: float or Half.
template <class T>
void pack_pointwise(int64_t in_channels, int64_t out_channels, const float* weight,
                    const float* bias, T* packed);

}  // namespace seaformer
