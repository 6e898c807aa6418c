// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/convert/convert.h"

namespace seaformer {

inline constexpr const ConvertKernel* kConvertVariants[] = {
#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(convert, isa, SEAFORMER_VARIANT_ADDRESS, convert_##element)
#include "kernels/convert/variants.inc"
#undef SEAFORMER_ROW
};

inline const ConvertKernel& convert_kernel(Element element) {
  return choose_variant(kConvertVariants, element);
}

}  // namespace seaformer
