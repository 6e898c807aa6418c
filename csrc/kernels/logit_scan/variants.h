// The compiled variants of the kernel and the one in use.
#pragma once

#include "core/dispatch.h"
#include "kernels/logit_scan/logit_scan.h"

namespace seaformer {

inline constexpr const LogitScanKernel* kLogitScanVariants[] = {
#define SEAFORMER_ROW(isa, element) \
  SEAFORMER_IF_BUILT(logit_scan, isa, SEAFORMER_VARIANT_ADDRESS, logit_scan_##element)
#include "kernels/logit_scan/variants.inc"
#undef SEAFORMER_ROW
};

inline const LogitScanKernel& logit_scan_kernel(Element element) {
  return choose_variant(kLogitScanVariants, element);
}

}  // namespace seaformer
