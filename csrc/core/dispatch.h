// Choice of a kernel's variant at run time.
#pragma once

#include <cstddef>

#include "core/cpu.h"

namespace seaformer {

// The widest variant that the active instruction set allows. A table lists its variants widest
// first and ends with the scalar one, which every processor runs. Each variant names its `isa`.
template <class Variant, std::size_t N>
const Variant& choose_variant(const Variant* const (&table)[N]) {
  const Isa widest = active_isa();
  for (const Variant* variant : table) {
    if (variant->isa <= widest && isa_supported(variant->isa)) return *variant;
  }
  return *table[N - 1];
}

}  // namespace seaformer
