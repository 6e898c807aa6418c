// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/int8_convert/int8_convert.h"

namespace seaformer {

inline constexpr const Int8ConvertKernel* kInt8ConvertVariants[] = {
#define SEAFORMER_ROW(isa) \
  SEAFORMER_IF_BUILT(int8_convert, isa, SEAFORMER_VARIANT_ADDRESS, int8_convert)
#include "kernels/int8_convert/variants.inc"
#undef SEAFORMER_ROW
};

inline const Int8ConvertKernel& int8_convert_kernel() {
  return choose_variant(kInt8ConvertVariants);
}

}  // namespace seaformer
