// The stem and an inverted residual without expansion behind it, without ever storing the map
// between them: the block filters rows of the stem as they are made.
#pragma once

#include <cstddef>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/stem.h"
#include "core/parallel.h"

namespace seaformer {

// Packed weights of both, which checked_header has checked and which join; for a residual, of
// stride 1 and as many output channels as the stem's.
struct StemBlock {
  const PackedHeader& stem;
  const PackedHeader& block;
  bool residual;
};

// Whether the two can be a StemBlock, but for a residual.
inline bool joins(const PackedHeader& stem, const PackedHeader& block) {
  return static_cast<PackedKind>(block.kind) == PackedKind::kInvertedResidual && !expands(block) &&
         !squeezes(block) && block.in_channels == stem.out_channels &&
         output_type(stem) == input_type(block);
}

// `shape` is that of the images. Bytes that stem_block needs, kWorkspaceAlignment aligned, when
// given this many threads.
std::size_t stem_block_workspace(const MapShape& shape, const StemBlock& weights, int64_t threads);

// To dense output as stem and inverted_residual in turn would write it, bit by bit, whatever the
// number of threads.
void stem_block(const MapShape& shape, const StemBlock& weights, const StemImages& images,
                void* output, void* workspace, const Parallel& parallel);

}  // namespace seaformer
