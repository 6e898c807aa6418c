#include "blocks/squeeze_excite.h"

#include <algorithm>

#include "blocks/over_grains.h"
#include "blocks/section_reader.h"

namespace seaformer {

SqueezeExcite::SqueezeExcite(const MapShape& shape, const PackedHeader& packed,
                             const void* sections, int64_t threads)
    : shape_(shape),
      channels_(packed.hidden_channels),
      layers_(squeeze_layers(packed)),
      few_pixels_(element_of(packed), std::max<int64_t>(channels_, layers_.channels), threads),
      kernel_(squeeze_excite_kernel(element_of(packed))) {
  SectionReader reader(sections, element_of(packed));
  reduce_ = reader.pointwise(channels_, layers_.channels);
  expand_ = reader.pointwise(layers_.channels, channels_);
  next_sections_ = reader.rest();
}

void SqueezeExcite::take(Carver& carver) {
  row_sums_ = carver.take<float>(shape_.batch * shape_.height * channels_);
  means_ = carver.take<float>(shape_.batch * channels_);
  squeezed_ = carver.take<float>(shape_.batch * layers_.channels);
  factors_ = carver.take<float>(shape_.batch * channels_);
  few_pixels_.take(carver);
}

void SqueezeExcite::clear() const {
  std::fill_n(row_sums_, shape_.batch * shape_.height * channels_, 0.0f);
}

void SqueezeExcite::add_up(const InPixels& pixels, int64_t first, int64_t count) const {
  const int64_t end = first + count;
  InPixels part = pixels;
  while (first < end) {
    const int64_t row = first / shape_.width,
                  some = std::min((row + 1) * shape_.width, end) - first;
    kernel_.add_up(part, some, channels_, row_sums_ + row * channels_);
    part.data = after(part.data, some * part.stride);
    first += some;
  }
}

void SqueezeExcite::excite(const Parallel& parallel) const {
  const float share = 1.0f / static_cast<float>(shape_.height * shape_.width);
  over_channels(channels_, parallel, [&](int64_t, int64_t begin, int64_t count) {
    for (int64_t image = 0; image < shape_.batch; ++image) {
      float* const mean = means_ + image * channels_ + begin;
      std::fill_n(mean, count, 0.0f);
      for (int64_t y = 0; y < shape_.height; ++y) {
        const float* const row = row_sums_ + (image * shape_.height + y) * channels_ + begin;
        for (int64_t c = 0; c < count; ++c) mean[c] += row[c];
      }
      for (int64_t c = 0; c < count; ++c) mean[c] *= share;
    }
  });
  const auto layer = [&](const void* weights, const float* input, int64_t in, float* output,
                         int64_t out, Activation activation) {
    Pointwise args;
    args.input = {input, in};
    args.weights = weights;
    args.output = {output, out};
    args.pixels = shape_.batch;
    args.in_channels = in;
    args.out_channels = out;
    args.activation = activation;
    few_pixels_.run(args, parallel);
  };
  layer(reduce_, means_, channels_, squeezed_, layers_.channels, layers_.activation);
  layer(expand_, squeezed_, layers_.channels, factors_, channels_, layers_.gate);
}

void SqueezeExcite::scale(int64_t image, const OutPixels& pixels, int64_t count) const {
  kernel_.scale(pixels, count, channels_, factors_ + image * channels_);
}

}  // namespace seaformer
