// Maps as another element type.
#pragma once

#include <cstdint>

#include "blocks/packed.h"
#include "core/element.h"
#include "core/parallel.h"

namespace seaformer {

// `count` elements of one type to as many of another, or the same, rounded to nearest.
void convert_elements(int64_t count, const MapType& from_type, const void* from,
                      const MapType& to_type, void* to, const Parallel& parallel);

}  // namespace seaformer
