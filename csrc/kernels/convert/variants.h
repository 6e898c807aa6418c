// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/convert/convert.h"

namespace seaformer {

inline constexpr const ConvertKernel* kConvertVariants[] = {
    SEAFORMER_CONVERT_VARIANTS(SEAFORMER_VARIANT_ADDRESS, convert_kernel)};

inline const ConvertKernel& convert_kernel() { return choose_variant(kConvertVariants); }

}  // namespace seaformer
