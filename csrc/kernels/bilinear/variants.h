// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/bilinear/bilinear.h"

namespace seaformer {

inline constexpr const BilinearKernel* kBilinearVariants[] = {
    SEAFORMER_BILINEAR_VARIANTS(SEAFORMER_VARIANT_ADDRESS, bilinear_kernel)};

inline const BilinearKernel& bilinear_kernel() { return choose_variant(kBilinearVariants); }

}  // namespace seaformer
