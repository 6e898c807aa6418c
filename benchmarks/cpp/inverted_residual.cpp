// Every inverted residual and MLP of the family, fused, or by the same kernels one after another;
// layer_program.h tells how to call it. The unfused ones follow the fused. Of int8 there are fused
// ones only.
#include "blocks/inverted_residual.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "blocks/section_reader.h"
#include "core/workspace.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"
#include "layer_program.h"
#include "shapes.h"
#include "whole_maps.h"

namespace {

using namespace seaformer;

struct Problem {
  explicit Problem(const std::vector<int64_t>& sizes) {
    header.kind = static_cast<int32_t>(PackedKind::kInvertedResidual);
    height = sizes[0], width = sizes[1];
    header.in_channels = static_cast<int32_t>(sizes[2]);
    header.hidden_channels = static_cast<int32_t>(sizes[3]);
    header.out_channels = static_cast<int32_t>(sizes[4]);
    header.kernel_size = static_cast<int32_t>(sizes[5]);
    header.stride = static_cast<int32_t>(sizes[6]);
    header.flags = sizes[7] ? kPackedExpands : 0;
    residual = sizes[8] != 0;
    const bool mlp = sizes[9] != 0;
    header.expand_activation = static_cast<int32_t>(mlp ? Activation::kNone : Activation::kRelu);
    header.depthwise_activation =
        static_cast<int32_t>(mlp ? Activation::kRelu6 : Activation::kRelu);
  }

  bool expands() const { return header.flags & kPackedExpands; }
  int64_t out_height() const { return inverted_residual_out(header, height); }
  int64_t out_width() const { return inverted_residual_out(header, width); }
  int64_t expand_floats() const {
    return expands() ? packed_pointwise_floats(header.in_channels, header.hidden_channels) : 0;
  }
  int64_t depthwise_floats() const {
    return packed_depthwise_floats(header.hidden_channels, header.kernel_size);
  }
  double macs() const {
    const double hidden = header.hidden_channels;
    const double taps = header.kernel_size * header.kernel_size;
    return height * width * hidden * (expands() ? header.in_channels : 0) +
           out_height() * out_width() * hidden * (taps + header.out_channels);
  }
  // Sizes of input and output together.
  double bytes() const {
    return 4.0 *
           (height * width * header.in_channels + out_height() * out_width() * header.out_channels);
  }

  PackedHeader header{};
  int64_t height, width;
  bool residual;
};

std::vector<float> noise(std::size_t n) {
  std::vector<float> v(n);
  uint32_t state = 1;
  for (float& x : v) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
  }
  return v;
}

struct Data {
  explicit Data(const Problem& p)
      : input(noise(p.height * p.width * p.header.in_channels)),
        output(p.out_height() * p.out_width() * p.header.out_channels),
        packed(sizeof(PackedHeader) / sizeof(float)) {
    std::memcpy(packed.data(), &p.header, sizeof p.header);
    const std::vector<float> sections =
        noise(p.expand_floats() + p.depthwise_floats() +
              packed_pointwise_floats(p.header.hidden_channels, p.header.out_channels));
    packed.insert(packed.end(), sections.begin(), sections.end());
  }
  const PackedHeader& header() const {
    return *reinterpret_cast<const PackedHeader*>(packed.data());
  }

  std::vector<float> input, output, packed;
};

std::function<void()> prepare_fused(const Problem& p) {
  auto data = std::make_shared<Data>(p);
  const MapShape shape{1, p.height, p.width};
  auto workspace =
      std::make_shared<Workspace>(inverted_residual_workspace(shape, data->header(), 1));
  return [=] {
    inverted_residual(shape, data->header(), p.residual, data->input.data(), data->output.data(),
                      workspace->data(), Sequential());
  };
}

// Packed weights of int8, all the same.
std::vector<float> int8_weights(const Problem& p) {
  PackedHeader h = p.header;
  h.version = kInt8PackedVersion, h.element = static_cast<int32_t>(Element::kI8);
  std::vector<float> packed(packed_bytes(h) / sizeof(float));
  std::memcpy(packed.data(), &h, sizeof h);
  const auto& held = *reinterpret_cast<const PackedHeader*>(packed.data());
  SectionReader sections(held);
  auto& numbers = const_cast<QuantizedNumbers&>(sections.quantized_numbers());
  numbers.input_scale = numbers.output_scale = 0.1f;
  numbers.ratio = kRatioOne;
  const int64_t in = h.in_channels, hidden = h.hidden_channels, out = h.out_channels;
  const int64_t taps = int64_t{h.kernel_size} * h.kernel_size;
  const std::vector<int8_t> weight(std::max({in * hidden, hidden * taps, hidden * out}), 3);
  const std::vector<int32_t> bias(std::max(hidden, out));
  const std::vector<float> multiplier(bias.size(), 0x1p-8f);
  const int32_t zero = zero_point(static_cast<Activation>(h.expand_activation));
  if (p.expands()) {
    pack_int8_pointwise(in, hidden, weight.data(), bias.data(), multiplier.data(), 0, zero,
                        const_cast<void*>(sections.pointwise(in, hidden)));
  }
  pack_int8_depthwise(hidden, h.kernel_size, weight.data(), bias.data(), multiplier.data(),
                      kLeastQuantized,
                      const_cast<void*>(sections.depthwise(hidden, h.kernel_size)));
  pack_int8_pointwise(hidden, out, weight.data(), bias.data(), multiplier.data(), kLeastQuantized,
                      0, const_cast<void*>(sections.rest()));
  return packed;
}

std::function<void()> prepare_int8(const Problem& p) {
  auto weights = std::make_shared<std::vector<float>>(int8_weights(p));
  const PackedHeader& h = *reinterpret_cast<const PackedHeader*>(weights->data());
  auto input = std::make_shared<std::vector<int8_t>>(p.height * p.width * h.in_channels, 7);
  auto output =
      std::make_shared<std::vector<int8_t>>(p.out_height() * p.out_width() * h.out_channels);
  const MapShape shape{1, p.height, p.width};
  auto workspace = std::make_shared<Workspace>(inverted_residual_workspace(shape, h, 1));
  return [=, &h] {
    inverted_residual(shape, h, p.residual, input->data(), output->data(), workspace->data(),
                      Sequential());
    (void)weights;
  };
}

// Expanded map and filtered map as a whole.
std::function<void()> prepare_unfused(const Problem& p) {
  auto data = std::make_shared<Data>(p);
  const PackedHeader& h = data->header();
  const int64_t hidden = h.hidden_channels, out = h.out_channels;
  auto expanded = std::make_shared<bench::PaddedMap>(p.height, p.width, hidden, h.kernel_size);
  auto filtered = std::make_shared<std::vector<float>>(p.out_height() * p.out_width() * hidden);
  return [=, &h] {
    const float* weights = static_cast<const float*>(packed_sections(h));
    const float* input = data->input.data();
    if (p.expands()) {
      expanded->fill(input, h.in_channels, weights, static_cast<Activation>(h.expand_activation));
    } else {
      expanded->fill(input);
    }
    weights += p.expand_floats();
    expanded->depthwise(weights, h.kernel_size, h.stride,
                        static_cast<Activation>(h.depthwise_activation), filtered->data());
    weights += p.depthwise_floats();
    Pointwise project;
    project.input = {filtered->data(), hidden};
    project.weights = weights;
    project.output = {data->output.data(), out};
    if (p.residual) project.residual = {input, out};
    project.pixels = p.out_height() * p.out_width();
    project.in_channels = hidden;
    project.out_channels = out;
    pointwise_kernel().run(project);
  };
}

}  // namespace

int main(int argc, char** argv) {
  if (bench::takes_int8(argc, argv)) {
    return bench::layer_program(argc, argv, [] {
      std::vector<bench::LayerCase> cases;
      for (const bench::Shape& shape : bench::read_shapes("inverted_residual")) {
        const Problem p(shape.sizes);
        cases.push_back({shape.module, p.macs(), [=] { return prepare_int8(p); }, p.bytes() / 4});
      }
      return cases;
    });
  }
  return bench::layer_program(argc, argv, [] {
    std::vector<bench::LayerCase> cases;
    for (const bool fused : {true, false}) {
      for (const bench::Shape& shape : bench::read_shapes("inverted_residual")) {
        const Problem p(shape.sizes);
        cases.push_back({shape.module + (fused ? "" : "/unfused"), p.macs(),
                         [=] { return fused ? prepare_fused(p) : prepare_unfused(p); }, p.bytes()});
      }
    }
    return cases;
  });
}
