#include "blocks/axial_mean.h"

#include <algorithm>

#include "blocks/over_grains.h"
#include "kernels/axial/variants.h"

namespace seaformer {

void axial_mean(const PixelMaps& maps, float* rows, float* columns, int64_t stride,
                const Parallel& parallel) {
  const AxialKernel& kernel = axial_kernel(maps.element);
  const MapShape& shape = maps.shape;
  over_channels(maps.channels, parallel, [&](int64_t, int64_t begin, int64_t count) {
    const auto divide = [&](float* sums, int64_t positions, int64_t by) {
      const float share = 1.0f / static_cast<float>(by);
      for (int64_t i = 0; i < positions; ++i) {
        for (int64_t c = 0; c < count; ++c) sums[i * stride + c] *= share;
      }
    };
    for (int64_t image = 0; image < shape.batch; ++image) {
      float* const row = rows + image * shape.height * stride + begin;
      float* const column = columns + image * shape.width * stride + begin;
      for (int64_t x = 0; x < shape.width; ++x) std::fill_n(column + x * stride, count, 0.0f);
      for (int64_t y = 0; y < shape.height; ++y) {
        AxialSqueeze args;
        args.input = maps.row(image, y, begin);
        args.width = shape.width;
        args.channels = count;
        args.row_sum = row + y * stride;
        args.column_sum = {column, stride};
        kernel.squeeze(args);
      }
      divide(row, shape.height, shape.width);
      divide(column, shape.width, shape.height);
    }
  });
}

}  // namespace seaformer
