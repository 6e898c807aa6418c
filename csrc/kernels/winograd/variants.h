// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/winograd/winograd.h"

namespace seaformer {

inline constexpr const WinogradKernel* kWinogradVariants[] = {
    SEAFORMER_WINOGRAD_VARIANTS(SEAFORMER_VARIANT_ADDRESS, winograd_kernel)};

inline const WinogradKernel& winograd_kernel() { return choose_variant(kWinogradVariants); }

}  // namespace seaformer
