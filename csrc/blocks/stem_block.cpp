#include "blocks/stem_block.h"

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
  StemRows::take_shared(shape, weights.stem, carver);
  return carver.used() + inverted_residual_workspace(block_shape(shape), weights.block, threads,
                                                     StemRows::kScratch);
}

void stem_block(const MapShape& shape, const StemBlock& weights, const StemImages& images,
                void* output, void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  const StemRows source(shape, weights.stem, images, carver);
  inverted_residual_of_rows(block_shape(shape), weights.block, weights.residual, source,
                            StemRows::kScratch, output,
                            static_cast<unsigned char*>(workspace) + carver.used(), parallel);
}

}  // namespace seaformer
