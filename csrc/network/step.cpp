#include "network/step.h"

#include "blocks/classification_head.h"
#include "blocks/fusion_gate.h"
#include "blocks/inverted_residual.h"
#include "blocks/sea_attention.h"
#include "blocks/segmentation_head.h"
#include "blocks/stem_block.h"

namespace seaformer {
namespace {

GateShape gate_shape(const Step& step) { return {step.input, step.coarse}; }

}  // namespace

MapSize output_size(const PackedHeader& weights, const MapSize& input) {
  MapSize size = input;
  size.channels = written_channels(weights);
  switch (static_cast<PackedKind>(weights.kind)) {
    case PackedKind::kStem:
      size.height = stem_out(size.height), size.width = stem_out(size.width);
      break;
    case PackedKind::kInvertedResidual:
      size.height = inverted_residual_out(weights, size.height);
      size.width = inverted_residual_out(weights, size.width);
      break;
    case PackedKind::kClassificationHead:
      size.height = size.width = 1;
      break;
    default:
      break;
  }
  return size;
}

std::size_t step_workspace(const Step& step, int64_t threads) {
  switch (step.kind) {
    case PackedKind::kStem:
      return stem_workspace(step.input, threads);
    case PackedKind::kInvertedResidual:
      if (step.stem != nullptr) {
        return stem_block_workspace(step.image, {*step.stem, step.weights, step.residual}, threads);
      }
      return inverted_residual_workspace(step.input, step.weights, threads);
    case PackedKind::kSeaAttention:
      return sea_attention_workspace(step.input, step.weights, threads);
    case PackedKind::kFusionGate:
      return fusion_gate_workspace(gate_shape(step), step.weights, threads);
    case PackedKind::kSegmentationHead:
      return segmentation_head_workspace(gate_shape(step), step.weights, threads);
    case PackedKind::kClassificationHead:
      return classification_head_workspace(step.input, step.weights, threads);
    case PackedKind::kPointwise:
      break;  // no step of a plan
  }
  return 0;
}

void run_step(const Step& step, const StepArrays& a, const Parallel& parallel) {
  switch (step.kind) {
    case PackedKind::kStem:
      return stem(step.input, step.weights, a.images, a.output, a.workspace, parallel);
    case PackedKind::kInvertedResidual:
      if (step.stem != nullptr) {
        return stem_block(step.image, {*step.stem, step.weights, step.residual}, a.images, a.output,
                          a.workspace, parallel);
      }
      return inverted_residual(step.input, step.weights, step.residual, a.input, a.output,
                               a.workspace, parallel);
    case PackedKind::kSeaAttention:
      return sea_attention(step.input, step.weights, step.residual, a.input, a.output, a.workspace,
                           parallel);
    case PackedKind::kFusionGate:
      return fusion_gate(gate_shape(step), step.weights, a.input, a.coarse, a.output, a.workspace,
                         parallel);
    case PackedKind::kSegmentationHead:
      return segmentation_head(gate_shape(step), step.weights, a.input, a.coarse, a.output,
                               a.winners, a.workspace, parallel);
    case PackedKind::kClassificationHead:
      return classification_head(step.input, step.weights, a.input, a.output, a.workspace,
                                 parallel);
    case PackedKind::kPointwise:
      break;  // no step of a plan
  }
}

}  // namespace seaformer
