// Contract of the micro-kernels of gates between int8 maps, in float32.
//
//   ramp      x[i] = clamp(x[i] + 3, 0, 6), six times h_sigmoid
//   combine   output[x][c] = clamp(round(v[x][c] * scale + (row[c] + column[x][c])) + zero)
//   gate      output[p][c] = clamp(round(ramp(gate[p][c]) * detail[p][c] + residual[p][c] * ratio))
//
// Every operation is rounded by itself, so that ISAs agree. core/quantized.h has the clamps of
// combine and gate, and their rounding. Free of std:: code, so ISA files may include it.
//
// Element   int8 of outputs and of residual, else float32.
// Layout    the channels of a pixel contiguous; strides count bytes between pixels; columns dense.
// Aliasing  output may be residual, pixel by pixel; nothing else overlaps.
// Alignment of elements only.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 1 up.
#pragma once

#include <stdint.h>

#include "core/isa.h"
#include "core/pixels.h"
#include "core/quantized.h"

namespace seaformer {

struct Int8Combine {
  InPixels v;
  float scale = 1;
  const float* row = nullptr;     // [channels]
  const float* column = nullptr;  // [width][channels]
  OutPixels output;
  int32_t zero = 0;
  int64_t width = 0, channels = 0;
};

struct Int8Gate {
  InPixels gate, detail;
  InPixels residual;  // or none
  float ratio = 0;
  OutPixels output;
  int64_t pixels = 0, channels = 0;
};

struct Int8GateKernel {
  Isa isa;
  void (*ramp)(float* x, int64_t count);
  void (*combine)(const Int8Combine& args);
  void (*gate)(const Int8Gate& args);
};

#define SEAFORMER_ROW(isa) \
  SEAFORMER_IF_BUILT(int8_gate, isa, SEAFORMER_DECLARE_VARIANT, Int8GateKernel, int8_gate)
#include "kernels/int8_gate/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
