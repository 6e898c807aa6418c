// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/stem/stem.h"

namespace seaformer {

inline constexpr const StemKernel* kStemVariants[] = {
    SEAFORMER_STEM_VARIANTS(SEAFORMER_VARIANT_ADDRESS, stem_kernel)};

inline const StemKernel& stem_kernel() { return choose_variant(kStemVariants); }

}  // namespace seaformer
