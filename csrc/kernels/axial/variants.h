// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/axial/axial.h"

namespace seaformer {

inline constexpr const AxialKernel* kAxialVariants[] = {
    SEAFORMER_AXIAL_VARIANTS(SEAFORMER_VARIANT_ADDRESS, axial_kernel)};

inline const AxialKernel& axial_kernel() { return choose_variant(kAxialVariants); }

}  // namespace seaformer
