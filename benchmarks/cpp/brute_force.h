// Resize and argmax with no pruning: what the fused kernel's instruction counts are held against.
#pragma once

#include <cstdint>

namespace seaformer::bench {

// Resizes [height, width, classes] logits 8 times and takes the argmax: vertical interpolation once
// for each output row, then every class at 8 pixels at a time. `row` holds width * classes floats.
// width and height from 2, classes a multiple of 8 not above 256.
void brute_force_8x(const float* logits, int64_t height, int64_t width, int64_t classes, float* row,
                    uint8_t* labels);

}  // namespace seaformer::bench
