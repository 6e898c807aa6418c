// The network's first layer on whole images: normalisation, a dense 3x3 convolution of stride 2
// with zero padding, and an activation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/section_reader.h"
#include "core/parallel.h"

namespace seaformer {

// Where images of three channels lie; strides count elements. The columns of a channel must follow
// each other (column_stride 1), or those of all three be interleaved (channel_stride 1 and
// column_stride 3).
struct StemImages {
  const void* data = nullptr;
  bool bytes = false;  // uint8, else float32
  int64_t image_stride = 0, channel_stride = 0, row_stride = 0, column_stride = 0;
};

// Dense images [batch, 3, height, width], and [batch, height, width, 3].
StemImages planar_images(const float* data, const MapShape& shape);
StemImages planar_images(const uint8_t* data, const MapShape& shape);
StemImages interleaved_images(const float* data, const MapShape& shape);
StemImages interleaved_images(const uint8_t* data, const MapShape& shape);

// Whether images are raw values, which the stem normalises. Weights packed before there was a flag
// for it tell by their numbers.
bool normalizes(const PackedHeader& stem);

// Its sections: pointwise(27, out), then an array of 3 means and 3 inverse standard deviations. All
// are float32; the element type is that of what the stem writes. Where it calculates in another
// type, it converts the weights. Those of int8 are in quantized_stem_rows.cpp.
inline SectionReader stem_sections(const PackedHeader& stem) {
  return {packed_sections(stem), Element::kF32};
}

// Rows of output for that many of input; columns likewise.
constexpr int64_t stem_out(int64_t in) { return (in + 1) / 2; }

// `shape` is that of the images. Bytes that stem needs, kWorkspaceAlignment aligned, when given
// this many threads.
std::size_t stem_workspace(const MapShape& shape, const PackedHeader& packed, int64_t threads);

// To dense output [batch, stem_out(height), stem_out(width), out_channels], which does not depend
// on the number of threads. `packed` was checked by checked_header.
void stem(const MapShape& shape, const PackedHeader& packed, const StemImages& images, void* output,
          void* workspace, const Parallel& parallel);

}  // namespace seaformer
