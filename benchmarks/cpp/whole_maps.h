// Convolutions of whole maps by the kernels, as the layers of a block take them one after another,
// and a map with the border of zeros that they need.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"

namespace seaformer::bench {

// A pointwise convolution of dense pixels to dense pixels.
inline void pointwise(const float* input, int64_t pixels, int64_t in, const void* weights,
                      int64_t out, Activation activation, float* output) {
  Pointwise args;
  args.input = {input, in};
  args.weights = weights;
  args.output = {output, out};
  args.pixels = pixels;
  args.in_channels = in;
  args.out_channels = out;
  args.activation = activation;
  pointwise_kernel().run(args);
}

class PaddedMap {
 public:
  PaddedMap(int64_t height, int64_t width, int64_t channels, int kernel_size)
      : height_(height),
        width_(width),
        channels_(channels),
        padding_(kernel_size / 2),
        floats_((height + 2 * padding_) * row_stride()) {}

  int64_t row_stride() const { return (width_ + 2 * padding_) * channels_; }
  // The first pixel inside.
  float* data() { return floats_.data() + padding_ * (row_stride() + channels_); }

  // Fills the inside with a pointwise convolution of a dense map, or with that map.
  void fill(const float* input, int64_t in_channels, const void* weights, Activation activation) {
    for (int64_t y = 0; y < height_; ++y) {
      pointwise(input + y * width_ * in_channels, width_, in_channels, weights, channels_,
                activation, data() + y * row_stride());
    }
  }
  void fill(const float* input) {
    for (int64_t y = 0; y < height_; ++y) {
      std::memcpy(data() + y * row_stride(), input + y * width_ * channels_,
                  width_ * channels_ * sizeof(float));
    }
  }

  // A depthwise convolution to a dense map, with an activation.
  void depthwise(const void* weights, int kernel_size, int stride, Activation activation,
                 float* output) const {
    const int64_t out_width = (width_ - 1) / stride + 1;
    for (int64_t y = 0; y * stride < height_; ++y) {
      const void* rows[5];
      for (int i = 0; i < kernel_size; ++i) {
        rows[i] = floats_.data() + (y * stride + i) * row_stride();
      }
      Depthwise args;
      args.rows = rows;
      args.row_stride = channels_ * static_cast<int64_t>(sizeof(float));
      args.weights = weights;
      args.output = {output + y * out_width * channels_, channels_};
      args.width = out_width;
      args.channels = channels_;
      args.kernel_size = kernel_size;
      args.stride = stride;
      args.activation = activation;
      depthwise_kernel().run(args);
    }
  }

 private:
  int64_t height_, width_, channels_, padding_;
  std::vector<float> floats_;
};

}  // namespace seaformer::bench
