// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/upsample_argmax/upsample_argmax.h"

namespace seaformer {

inline constexpr const UpsampleArgmaxKernel* kUpsampleArgmaxVariants[] = {
    SEAFORMER_UPSAMPLE_ARGMAX_VARIANTS(SEAFORMER_VARIANT_ADDRESS, upsample_argmax_kernel)};

inline const UpsampleArgmaxKernel& upsample_argmax_kernel() {
  return choose_variant(kUpsampleArgmaxVariants);
}

}  // namespace seaformer
