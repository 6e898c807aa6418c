// One step of a plan: a block, as the network calls it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blocks/block_kind.h"
#include "blocks/map_shape.h"
#include "core/parallel.h"

namespace seaformer {

struct Step {
  BlockCall call;
  // Of an inverted residual that makes its input from the image by itself, else null.
  const PackedHeader* stem = nullptr;
  MapShape image{};
};

// Bytes that run_step needs, kWorkspaceAlignment aligned, when given this many threads.
std::size_t step_workspace(const Step& step, int64_t threads);

void run_step(const Step& step, const BlockArrays& arrays, const Parallel& parallel);

}  // namespace seaformer
