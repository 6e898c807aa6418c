// Computes where the outputs of a bilinear resize lie between its sources, along one axis.
#pragma once

#include "core/resize_axis.h"
#include "core/workspace.h"

namespace seaformer {

// As torch.nn.functional.interpolate computes them in float32: output i looks at
// (i + 0.5) * in / out - 0.5, not below 0, or with `align_corners` at i * (in - 1) / (out - 1), a
// single output at 0; equal sizes copy.
// Takes its memory from `carver`; with a null one it only adds up the size. Sizes from 1 up.
ResizeAxis make_resize_axis(int64_t in, int64_t out, Carver& carver, bool align_corners = false);

// The run that holds `output`.
const ResizeRun* find_run(const ResizeAxis& axis, int64_t output);

}  // namespace seaformer
