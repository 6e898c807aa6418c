// Contract of the micro-kernels that make int8 maps of others, and others of them.
//
//   quantize     to[i] = clamp(round(from[i] * inverse_scale) + zero); a NaN counts as 0
//   dequantize   to[i] = (from[i] - zero) * scale, both operations in float32
//   from_quads   to[p][c] = channel c of pixel p of rows in quads, as kernels/int8_depthwise has
//   them to_quads     the other way; pixels behind the last are the zero point, channels are not
//   written requantize   to[p][c] = clamp(round(sum[p][c] * multiplier[c]) + zero)
//
// core/quantized.h has rounding, clamps and limits. Free of std:: code, so ISA files may include
// it.
//
// Sums      float32 numbers kMagic + sum, as kernels for float32 make them of whole numbers.
// Arrays    of multipliers and offsets as in the panels of int8_depthwise weights: `panel_bytes`
// from
//           the array of a panel to that of the next. The offset is of the zero point.
// Aliasing  none.
// Alignment of elements only.
// Tails     nothing outside the stated arrays is read or written, whatever the sizes from 0 up.
#pragma once

#include <stdint.h>

#include "core/isa.h"
#include "core/panel.h"
#include "core/pixels.h"
#include "core/quantized.h"

namespace seaformer {

struct Requantize {
  InPixels sums;                                           // of float32
  OutPixels output;                                        // of int8
  const float *multipliers = nullptr, *offsets = nullptr;  // of the first panel
  int64_t panel_bytes = 0;
  int64_t pixels = 0, channels = 0;
};

struct Int8ConvertKernel {
  Isa isa;
  void (*quantize)(const float* from, int64_t count, float inverse_scale, int32_t zero, int8_t* to);
  void (*dequantize)(const int8_t* from, int64_t count, int32_t zero, float scale, float* to);
  void (*requantize)(const Requantize& args);
  // `stride` is that from four channels of quads to the next; pixels are dense.
  void (*from_quads)(const void* quads, int64_t stride, int64_t pixels, int64_t channels,
                     int8_t* to);
  void (*to_quads)(const int8_t* from, int64_t pixels, int64_t channels, int32_t zero, void* quads,
                   int64_t stride);
};

#define SEAFORMER_ROW(isa) \
  SEAFORMER_IF_BUILT(int8_convert, isa, SEAFORMER_DECLARE_VARIANT, Int8ConvertKernel, int8_convert)
#include "kernels/int8_convert/variants.inc"
#undef SEAFORMER_ROW

}  // namespace seaformer
