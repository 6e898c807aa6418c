// Choice of a kernel's variant at run time.
#pragma once

#include <cstddef>

#include "core/cpu.h"
#include "core/element.h"

namespace seaformer {

// The first variant of a table whose instruction set is in use. A table lists the preferred ones
// first and ends with the scalar one, which every processor runs. Each variant names its `isa`.
template <class Variant, std::size_t N>
const Variant& choose_variant(const Variant* const (&table)[N]) {
  for (const Variant* variant : table) {
    if (isa_in_use(variant->isa)) return *variant;
  }
  return *table[N - 1];
}

// The same among the variants of an element type, which each names as its `element`.
template <class Variant, std::size_t N>
const Variant& choose_variant(const Variant* const (&table)[N], Element element) {
  const Variant* last = nullptr;  // its scalar one, if all is in order
  for (const Variant* variant : table) {
    if (variant->element != element) continue;
    if (isa_in_use(variant->isa)) return *variant;
    last = variant;
  }
  return *last;
}

}  // namespace seaformer
