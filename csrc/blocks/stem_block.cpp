#include "blocks/stem_block.h"

#include "blocks/inverted_residual.h"
#include "blocks/quantized_inverted_residual.h"
#include "blocks/quantized_stem_rows.h"
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
  if (!is_int8(weights.stem)) StemRows::take_shared(shape, weights.stem, carver);
  return carver.used() + inverted_residual_workspace(block_shape(shape), weights.block, threads,
                                                     StemRows::kScratch);
}

void stem_block(const MapShape& shape, const StemBlock& weights, const StemImages& images,
                void* output, void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  const auto run = [&](const RowSource& source) {
    inverted_residual_of_rows(block_shape(shape), weights.block, weights.residual, source,
                              StemRows::kScratch, output,
                              after(workspace, static_cast<int64_t>(carver.used())), parallel);
  };
  if (is_int8(weights.stem)) {
    return run(QuantizedStemRows(shape, weights.stem, images, quantized_row_form()));
  }
  run(StemRows(shape, weights.stem, images, carver));
}

}  // namespace seaformer
