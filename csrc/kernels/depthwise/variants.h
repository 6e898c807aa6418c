// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/depthwise/depthwise.h"

namespace seaformer {

inline constexpr const DepthwiseKernel* kDepthwiseVariants[] = {
#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(depthwise, isa, SEAFORMER_VARIANT_ADDRESS, depthwise_##element)
#include "kernels/depthwise/variants.inc"
#undef SEAFORMER_ROW
};

inline const DepthwiseKernel& depthwise_kernel(Element element = Element::kF32) {
  return choose_variant(kDepthwiseVariants, element);
}

// Elements that the packed weights and biases of a convolution take.
int64_t packed_depthwise_floats(int64_t channels, int kernel_size);

// Packs weight [channels][kernel_size][kernel_size] and bias [channels], or null for none, as
// elements of a type: float or Half.
template <class T>
void pack_depthwise(int64_t channels, int kernel_size, const float* weight, const float* bias,
                    T* packed);

}  // namespace seaformer
