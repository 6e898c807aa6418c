#include "blocks/quantized_rows.h"

#include "blocks/section_reader.h"

namespace seaformer {

PreparedPointwise QuantizedRows::expansion(const PackedHeader& packed, Carver& carver) {
  if (!expands(packed)) return {};
  SectionReader sections(packed);
  sections.quantized_numbers();
  return {packed.in_channels, packed.hidden_channels, sections.rest(), carver};
}

QuantizedRows::QuantizedRows(const MapShape& shape, const PackedHeader& packed,
                             const PreparedPointwise& expand, const void* input, Int8Output form)
    : shape_(shape),
      packed_(packed),
      expand_(expand),
      input_(input),
      form_(form),
      pointwise_(int8_pointwise_kernel()),
      convert_(int8_convert_kernel()) {}

void QuantizedRows::fill(const Part& part, const OutPixels& to, void*) const {
  const int64_t pixel = (part.image * shape_.height + part.row) * shape_.width + part.first;
  const int64_t in = packed_.in_channels, pixels = part.last - part.first;
  const InPixels from{after(input_, pixel * in, Element::kI8), in, Element::kI8};
  if (expands(packed_)) {
    Int8Pointwise args = expand_.call();
    args.input = from;
    args.output = to;
    args.form = form_;
    args.zero = zero_point(static_cast<Activation>(packed_.expand_activation));
    args.pixels = pixels;
    return pointwise_.run(args);
  }
  const int32_t zero = input_type(packed_).zero;
  if (form_ == Int8Output::kInt8Quads) {
    return convert_.to_quads(static_cast<const int8_t*>(from.data), pixels, in, zero, to.data,
                             to.stride);
  }
  for (int64_t i = 0; i < pixels; ++i) {
    convert_.dequantize(static_cast<const int8_t*>(after(from.data, i * from.stride)), in, zero,
                        1.0f, static_cast<float*>(after(to.data, i * to.stride)));
  }
}

}  // namespace seaformer
