#include "network/image_pixels.h"

#include "blocks/over_grains.h"

namespace seaformer {
namespace {

template <class T>
void convert_row(const T* from, const StemImages& images, int64_t width, const float* means,
                 const float* inverses, float* to) {
  const int64_t channel = images.channel_stride, column = images.column_stride;
  for (int64_t x = 0; x < width; ++x) {
    for (int64_t c = 0; c < 3; ++c) {
      const auto value = static_cast<float>(from[x * column + c * channel]);
      to[3 * x + c] = (value - means[c]) * inverses[c];
    }
  }
}

}  // namespace

void image_pixels(const MapShape& shape, const StemImages& images, const float* normalisation,
                  float* pixels, const Parallel& parallel) {
  constexpr float kNothing[] = {0, 0, 0, 1, 1, 1};
  const float* const means = normalisation != nullptr ? normalisation : kNothing;
  over_grains(shape.batch * shape.height, 1, parallel, [&](int64_t, int64_t begin, int64_t count) {
    for (int64_t row = begin; row < begin + count; ++row) {
      const int64_t first =
          row / shape.height * images.image_stride + row % shape.height * images.row_stride;
      float* const to = pixels + row * shape.width * 3;
      if (images.bytes) {
        convert_row(static_cast<const uint8_t*>(images.data) + first, images, shape.width, means,
                    means + 3, to);
      } else {
        convert_row(static_cast<const float*>(images.data) + first, images, shape.width, means,
                    means + 3, to);
      }
    }
  });
}

}  // namespace seaformer
