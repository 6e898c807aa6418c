// Headers of convolutions and pools, and what their windows cover, written out pixel by pixel.
#pragma once

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>

#include "blocks/packed.h"

namespace seaformer::test {

struct WindowCase {
  int32_t rows = 3, columns = 3, stride = 1, row_padding = 0, column_padding = 0, dilation = 1;
  bool same = false;
};

inline PackedHeader window_header(PackedKind kind, const WindowCase& c, int32_t in, int32_t out) {
  PackedHeader h{};
  h.kind = static_cast<int32_t>(kind);
  h.in_channels = in, h.out_channels = out;
  h.kernel_size = c.rows, h.heads = c.columns, h.stride = c.stride, h.key_dim = c.dilation;
  h.hidden_channels = c.row_padding, h.classes = c.column_padding;
  h.flags = c.same ? kPackedPadsSame : 0;
  return h;
}

// Outputs along an axis: windows are slid until one does not fit.
inline int64_t window_outputs(const WindowCase& c, int64_t in, int32_t size, int32_t padding) {
  if (c.same) return in / c.stride + (in % c.stride != 0);
  int64_t outputs = 0;
  while (outputs * c.stride + (size - 1) * c.dilation < in + 2 * padding) ++outputs;
  return outputs;
}

// The input under tap i of output y, which may lie outside.
inline int64_t window_input(const WindowCase& c, int64_t in, int32_t size, int32_t padding,
                            int64_t y, int64_t i) {
  int64_t before = padding;
  if (c.same) {
    const int64_t last = (window_outputs(c, in, size, padding) - 1) * c.stride;
    before = std::max<int64_t>(last + (size - 1) * c.dilation + 1 - in, 0) / 2;
  }
  return y * c.stride + i * c.dilation - before;
}

inline std::string describe(const WindowCase& c) {
  std::ostringstream text;
  text << c.rows << "x" << c.columns << " stride " << c.stride << " padding "
       << (c.same ? "same " : "") << c.row_padding << "x" << c.column_padding << " dilation "
       << c.dilation;
  return text.str();
}

}  // namespace seaformer::test
