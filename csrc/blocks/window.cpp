#include "blocks/window.h"

#include "core/require.h"

namespace seaformer {

void check_window(const char* op, const PackedHeader& packed) {
  constexpr int32_t kMostSize = 7, kMostStride = 4, kMostDilation = 128;
  const auto between = [](int32_t value, int32_t low, int32_t high) {
    return value >= low && value <= high;
  };
  require(between(packed.kernel_size, 1, kMostSize) && between(kernel_width(packed), 1, kMostSize),
          op, ": expected packed weights with a kernel of 1x1 to ", kMostSize, "x", kMostSize,
          ", got ", packed.kernel_size, "x", kernel_width(packed));
  require(between(packed.stride, 1, kMostStride), op, ": expected packed weights with stride 1 to ",
          kMostStride, ", got ", packed.stride);
  require(between(dilation(packed), 1, kMostDilation), op,
          ": expected packed weights with dilation 1 to ", kMostDilation, ", got ",
          dilation(packed));
  const Window window = window_of(packed);
  const auto padded = [&](const WindowAxis& axis) {
    return axis.padding >= 0 && axis.padding <= (axis.same ? 0 : axis.reach());
  };
  require(padded(window.rows) && padded(window.columns), op,
          ": expected packed weights with padding from 0 to what the window reaches, got ",
          window.rows.padding, " and ", window.columns.padding);
}

}  // namespace seaformer
