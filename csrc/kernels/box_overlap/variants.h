// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/box_overlap/box_overlap.h"

namespace seaformer {

inline constexpr const BoxOverlapKernel* kBoxOverlapVariants[] = {
    SEAFORMER_BOX_OVERLAP_VARIANTS(SEAFORMER_VARIANT_ADDRESS, box_overlap_kernel)};

inline const BoxOverlapKernel& box_overlap_kernel() { return choose_variant(kBoxOverlapVariants); }

}  // namespace seaformer
