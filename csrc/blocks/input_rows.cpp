#include "blocks/input_rows.h"

#include <cstring>

#include "blocks/activated.h"

namespace seaformer {

InputRows::InputRows(const MapShape& shape, const PackedHeader& packed, const void* input)
    : shape_(shape),
      packed_(packed),
      input_(input),
      kernel_(pointwise_kernel(element_of(packed))) {}

void InputRows::fill(const Part& part, const OutPixels& to, void*) const {
  const Element element = element_of(packed_);
  const int64_t pixel = (part.image * shape_.height + part.row) * shape_.width + part.first;
  const int64_t in = packed_.in_channels, pixels = part.last - part.first;
  const InPixels from{after(input_, pixel * in, element), in, element};
  if (expands(packed_)) {
    Pointwise args;
    args.input = from;
    args.weights = packed_sections(packed_);
    args.output = to;
    args.pixels = pixels;
    args.in_channels = in;
    args.out_channels = packed_.hidden_channels;
    args.activation = static_cast<Activation>(packed_.expand_activation);
    run_activated(kernel_, args);
    return;
  }
  const auto bytes = static_cast<std::size_t>(from.stride);
  if (to.stride == from.stride) {
    std::memcpy(to.data, from.data, bytes * static_cast<std::size_t>(pixels));
  } else {
    for (int64_t i = 0; i < pixels; ++i) {
      std::memcpy(after(to.data, i * to.stride), after(from.data, i * from.stride), bytes);
    }
  }
}

}  // namespace seaformer
