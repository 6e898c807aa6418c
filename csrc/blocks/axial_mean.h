// The means of the rows and of the columns of maps, in one pass over them.
#pragma once

#include <cstdint>

#include "blocks/pixel_maps.h"
#include "core/parallel.h"

namespace seaformer {

// Means over the width, rows [batch * height][channels], and over the height, columns [batch *
// width][channels], both with `stride` floats from one position to the next. They do not depend on
// the number of threads.
void axial_mean(const PixelMaps& maps, float* rows, float* columns, int64_t stride,
                const Parallel& parallel);

}  // namespace seaformer
