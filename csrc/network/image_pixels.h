// Images as a map of float32, for steps that read them as they read any other map.
#pragma once

#include "blocks/map_shape.h"
#include "blocks/stem.h"
#include "core/parallel.h"

namespace seaformer {

// Makes dense pixels [batch, height, width, 3] of images; each value less the mean of its channel,
// times the inverse of its standard deviation, if there are such: 3 means, then 3 inverses.
void image_pixels(const MapShape& shape, const StemImages& images, const float* normalisation,
                  float* pixels, const Parallel& parallel);

}  // namespace seaformer
