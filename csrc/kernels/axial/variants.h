// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/axial/axial.h"

namespace seaformer {

#define SEAFORMER_ADDRESS(isa) &isa::axial_kernel,
inline constexpr const AxialKernel* kAxialVariants[] = {
    SEAFORMER_AXIAL_VARIANTS(SEAFORMER_ADDRESS)};
#undef SEAFORMER_ADDRESS

inline const AxialKernel& axial_kernel() { return choose_variant(kAxialVariants); }

}  // namespace seaformer
