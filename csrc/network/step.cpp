#include "network/step.h"

#include "blocks/stem_block.h"

namespace seaformer {
namespace {

StemBlock stem_block_of(const Step& step) {
  return {*step.stem, step.call.weights, step.call.residual};
}

}  // namespace

std::size_t step_workspace(const Step& step, int64_t threads) {
  if (step.stem != nullptr) return stem_block_workspace(step.image, stem_block_of(step), threads);
  return kind_of(step.call.weights).workspace(step.call, threads);
}

void run_step(const Step& step, const BlockArrays& arrays, const Parallel& parallel) {
  if (step.stem != nullptr) {
    return stem_block(step.image, stem_block_of(step), arrays.images, arrays.output,
                      arrays.workspace, parallel);
  }
  kind_of(step.call.weights).run(step.call, arrays, parallel);
}

}  // namespace seaformer
