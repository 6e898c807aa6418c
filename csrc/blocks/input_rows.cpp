#include "blocks/input_rows.h"

#include <algorithm>

namespace seaformer {

InputRows::InputRows(const MapShape& shape, const PackedHeader& packed, const float* input)
    : shape_(shape), packed_(packed), input_(input), kernel_(pointwise_kernel()) {}

void InputRows::fill(const Part& part, float* to, int64_t stride, float*) const {
  const int64_t pixel = (part.image * shape_.height + part.row) * shape_.width + part.first;
  const int64_t in = packed_.in_channels, pixels = part.last - part.first;
  const float* from = input_ + pixel * in;
  if (expands(packed_)) {
    Pointwise args;
    args.input = {from, in};
    args.weights = packed_sections(packed_);
    args.output = {to, stride};
    args.pixels = pixels;
    args.in_channels = in;
    args.out_channels = packed_.hidden_channels;
    args.activation = static_cast<Activation>(packed_.expand_activation);
    kernel_.run(args);
  } else if (stride == in) {
    std::copy_n(from, pixels * in, to);
  } else {
    for (int64_t i = 0; i < pixels; ++i) std::copy_n(from + i * in, in, to + i * stride);
  }
}

}  // namespace seaformer
