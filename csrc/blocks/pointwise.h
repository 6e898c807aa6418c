// A pointwise (1x1) convolution over a whole map, with threads.
#pragma once

#include <cstdint>

#include "blocks/packed.h"
#include "core/parallel.h"

namespace seaformer {

// From `pixels` dense pixels of in_channels to as many of out_channels, which do not depend on the
// number of threads. A residual adds the input; for equal widths. `packed` was checked by
// checked_header.
void pointwise(int64_t pixels, const PackedHeader& packed, bool residual, const void* input,
               void* output, const Parallel& parallel);

// Whether 1x1 convolutions of a type are calculated in it here, or only stored in it.
bool calculates_in(Element element);

}  // namespace seaformer
