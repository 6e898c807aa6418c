#include "blocks/channel_means.h"

#include <algorithm>

#include "core/pixels.h"
#include "kernels/convert/variants.h"

namespace seaformer {

ChannelMeans::ChannelMeans(const MapShape& shape, int64_t channels, Element element,
                           int64_t threads, Carver& carver)
    : shape_(shape),
      channels_(channels),
      element_(element),
      workers_(std::min(shape.batch, threads)) {
  scratch_ = WorkerScratch(workers_, [&](Carver& own) { take_scratch(own); }, carver);
}

ChannelMeans::Scratch ChannelMeans::take_scratch(Carver& carver) const {
  const bool is_float = element_ == Element::kF32;
  return {carver.take<float>(channels_),
          carver.take<float>(is_float ? 0 : shape_.width * channels_)};
}

void ChannelMeans::run(const void* input, float* means, const Parallel& parallel) const {
  parallel.run(workers_, [&](int64_t worker) {
    Carver own = scratch_.of(worker);
    const Scratch scratch = take_scratch(own);
    const int64_t end = shape_.batch * (worker + 1) / workers_;
    for (int64_t image = shape_.batch * worker / workers_; image < end; ++image) {
      mean_pixel(after(input, image * shape_.height * shape_.width * channels_, element_), scratch,
                 means + image * channels_);
    }
  });
}

// Rows are summed first, which rounds less than one long sum.
void ChannelMeans::mean_pixel(const void* input, const Scratch& scratch, float* mean) const {
  float* const row = scratch.row;
  std::fill_n(mean, channels_, 0.0f);
  for (int64_t y = 0; y < shape_.height; ++y) {
    const float* pixel = static_cast<const float*>(input);
    if (element_ != Element::kF32) {
      convert_kernel(element_).widen(input, shape_.width * channels_, scratch.pixels);
      pixel = scratch.pixels;
    }
    std::fill_n(row, channels_, 0.0f);
    for (int64_t x = 0; x < shape_.width; ++x, pixel += channels_) {
      for (int64_t c = 0; c < channels_; ++c) row[c] += pixel[c];
    }
    for (int64_t c = 0; c < channels_; ++c) mean[c] += row[c];
    input = after(input, shape_.width * channels_, element_);
  }
  const float pixels = static_cast<float>(shape_.height * shape_.width);
  for (int64_t c = 0; c < channels_; ++c) mean[c] /= pixels;
}

}  // namespace seaformer
