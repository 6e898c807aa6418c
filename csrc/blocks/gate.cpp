#include "blocks/gate.h"

#include "blocks/resize_axis.h"
#include "blocks/section_reader.h"
#include "kernels/int8_gate/variants.h"

namespace seaformer {

Gate::Gate(const GateShape& shape, const PackedHeader& packed, const void* local,
           const void* coarse, Carver& carver)
    : shape_(shape),
      packed_(packed),
      element_(is_int8(packed) ? Element::kF32 : element_of(packed)),
      local_(local),
      coarse_(coarse),
      vertical_(make_resize_axis(shape.coarse.height, shape.local.height, carver)),
      horizontal_(make_resize_axis(shape.coarse.width, shape.local.width, carver)),
      bilinear_(bilinear_kernel(element_)),
      pointwise_(pointwise_kernel(element_)) {
  SectionReader sections(packed);
  if (is_int8(packed)) sections.quantized_numbers();
  const auto convolution = [&](int64_t in) {
    Convolution made{in, sections.pointwise(in, packed.out_channels), {}};
    if (is_int8(packed)) made.prepared = {in, packed.out_channels, made.weights, carver};
    return made;
  };
  of_local_ = convolution(packed.in_channels);
  of_coarse_ = convolution(packed.hidden_channels);
  next_sections_ = sections.rest();
}

void Gate::prepare() const {
  of_local_.prepared.prepare();
  of_coarse_.prepared.prepare();
}

Gate::Rows Gate::take_rows(Carver& carver) const {
  const int64_t elements = shape_.coarse.width * packed_.out_channels;
  Rows rows{};
  for (int slot = 0; slot < 2; ++slot) {
    rows.gates[slot] = carver.take(elements, element_);
    rows.held[slot] = -1;
  }
  rows.blended = carver.take(elements, element_);
  return rows;
}

void Gate::convolve(const Convolution& convolution, const void* input, int64_t pixels,
                    const OutPixels& output, Activation activation) const {
  const int64_t in = convolution.in_channels;
  if (!is_int8(packed_)) {
    Pointwise args;
    args.input = {input, in, element_};
    args.weights = convolution.weights;
    args.output = output;
    args.pixels = pixels;
    args.in_channels = in;
    args.out_channels = packed_.out_channels;
    args.activation = activation;
    return pointwise_.run(args);
  }
  Int8Pointwise args = convolution.prepared.call();
  args.input = {input, in, Element::kI8};
  args.output = output;
  args.form = Int8Output::kFloat;
  args.pixels = pixels;
  int8_pointwise_kernel().run(args);
  if (activation == Activation::kHardSigmoid) {  // six times it: weights have taken up the sixth
    int8_gate_kernel().ramp(static_cast<float*>(output.data), pixels * packed_.out_channels);
  }
}

int Gate::hold(int64_t coarse_row, int64_t keep, Rows& rows) const {
  for (int slot = 0; slot < 2; ++slot) {
    if (rows.held[slot] == coarse_row) return slot;
  }
  const int slot = rows.held[0] == keep ? 1 : 0;
  const int64_t width = shape_.coarse.width, in = packed_.hidden_channels;
  convolve(of_coarse_, after(coarse_, coarse_row * width * in, element_of(packed_)), width,
           {rows.gates[slot], packed_.out_channels, element_}, Activation::kHardSigmoid);
  rows.held[slot] = coarse_row;
  return slot;
}

void Gate::enter_row(int64_t row, Rows& rows) const {
  const int64_t height = shape_.local.height;
  const int64_t y = row % height, first = row / height * shape_.coarse.height;
  const ResizeRun& run = *find_run(vertical_, y);
  const int low = hold(first + run.low, first + run.high, rows);
  const int high = hold(first + run.high, first + run.low, rows);
  bilinear_.blend(rows.gates[low], rows.gates[high], vertical_.low_weight[y],
                  vertical_.high_weight[y], shape_.coarse.width * packed_.out_channels,
                  rows.blended);
}

void Gate::pixels(int64_t row, int64_t begin, int64_t end, const Rows& rows, const float* shift,
                  void* output) const {
  const int64_t in = packed_.in_channels, out = packed_.out_channels;
  const OutPixels product{output, out, element_};
  convolve(of_local_, after(local_, (row * shape_.local.width + begin) * in, element_of(packed_)),
           end - begin, product, Activation::kNone);

  BilinearMultiply gating;
  gating.row = rows.blended;
  gating.runs = find_run(horizontal_, begin);
  gating.low_weight = horizontal_.low_weight;
  gating.high_weight = horizontal_.high_weight;
  gating.begin = begin;
  gating.end = end;
  gating.output = product;
  gating.shift = shift;
  gating.channels = out;
  bilinear_.multiply(gating);
}

}  // namespace seaformer
