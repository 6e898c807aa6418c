#include "blocks/stem_block.h"

#include <algorithm>

#include "blocks/inverted_residual.h"
#include "blocks/stem_rows.h"
#include "core/workspace.h"

namespace seaformer {
namespace {

MapShape block_shape(const MapShape& images) {
  return {images.batch, stem_out(images.height), stem_out(images.width)};
}

}  // namespace

std::size_t stem_block_workspace(const MapShape& shape, const StemBlock& weights, int64_t threads) {
  Carver carver(nullptr);
  carver.take<float>(StemRows::zero_floats(shape));
  return carver.used() + inverted_residual_workspace(block_shape(shape), weights.block, threads,
                                                     StemRows::kScratch);
}

void stem_block(const MapShape& shape, const StemBlock& weights, const StemImages& images,
                void* output, void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  float* const zeros = carver.take<float>(StemRows::zero_floats(shape));
  std::fill_n(zeros, StemRows::zero_floats(shape), 0.0f);
  inverted_residual_of_rows(block_shape(shape), weights.block, weights.residual,
                            StemRows(shape, weights.stem, images, zeros), StemRows::kScratch,
                            output, static_cast<unsigned char*>(workspace) + carver.used(),
                            parallel);
}

}  // namespace seaformer
