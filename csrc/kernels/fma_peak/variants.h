// The compiled variants of the loop and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/fma_peak/fma_peak.h"

namespace seaformer {

inline constexpr const FmaPeak* kFmaPeakVariants[] = {
    SEAFORMER_FMA_PEAK_VARIANTS(SEAFORMER_VARIANT_ADDRESS, fma_peak)};

inline const FmaPeak& fma_peak() { return choose_variant(kFmaPeakVariants); }

}  // namespace seaformer
