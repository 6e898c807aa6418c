// One step of a plan: the block that it names, as the network calls it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/map_shape.h"
#include "blocks/packed.h"
#include "blocks/stem.h"
#include "core/parallel.h"
#include "network/plan.h"

namespace seaformer {

// Of dense maps [batch, height, width, channels]; all from 1 up.
struct MapSize : MapShape {
  int64_t channels;
  int64_t floats() const { return pixels() * channels; }
};

// A step and the sizes of what it reads; the second is of use to gates and segmentation heads.
struct Step {
  PackedKind kind;
  const PackedHeader& weights;
  bool residual;
  MapSize input, coarse;
  // Of an inverted residual that makes its input from the image by itself, else null.
  const PackedHeader* stem = nullptr;
  MapShape image{};
};

// Of the map that a step with such weights writes; a classification head's has one pixel.
MapSize output_size(const PackedHeader& weights, const MapSize& input);

// Bytes that run_step needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t step_workspace(const Step& step, int64_t threads);

struct StepArrays {
  const StemImages& images;  // what a stem reads
  const float *input, *coarse;
  float* output;
  int32_t* winners;  // of a segmentation head: its pixels' best classes, or null
  void* workspace;
};

void run_step(const Step& step, const StepArrays& arrays, const Parallel& parallel);

}  // namespace seaformer
