// The int8 pointwise kernel on layers of the network; layer_program.h tells how to call it.
#include <iterator>
#include <memory>
#include <set>

#include "kernels/int8_pointwise/variants.h"
#include "layer_program.h"
#include "shapes.h"

namespace {

using namespace seaformer;

struct Layer {
  int64_t pixels, in_channels, out_channels;
};

// As few pixels as fused blocks give a call.
constexpr Layer kOthers[] = {{96, 16, 64}, {96, 64, 16}, {96, 256, 64}, {24, 384, 128}};

// Every 1x1 convolution of the family at 512x512, equal products once; then the others.
std::vector<Layer> layers() {
  std::vector<Layer> all;
  std::set<std::vector<int64_t>> seen;
  for (const bench::Shape& shape : bench::read_shapes("pointwise")) {
    const int64_t pixels = shape.sizes[0] * shape.sizes[1];
    const int64_t in = shape.sizes[2], out = shape.sizes[3];
    if (seen.insert({pixels, in, out}).second) all.push_back({pixels, in, out});
  }
  all.insert(all.end(), std::begin(kOthers), std::end(kOthers));
  return all;
}

// What is written from what; quads where the variant in use has them.
struct Way {
  const char* name;
  bool residual, input_quads;
  Int8Output form;
};
constexpr Way kWays[] = {{"", false, false, Int8Output::kInt8},
                         {"/residual", true, false, Int8Output::kInt8},
                         {"/int8-float", false, false, Int8Output::kInt8Float},
                         {"/float", false, false, Int8Output::kFloat},
                         {"/to-quads", false, false, Int8Output::kInt8Quads},
                         {"/from-quads", false, true, Int8Output::kInt8}};

struct Data {
  std::vector<int8_t> input, packed, residual;
  std::vector<float> output;  // large enough for any form
};

std::function<void()> prepare(const Layer& layer, const Way& way) {
  const Int8PointwiseKernel& kernel = int8_pointwise_kernel();
  const int64_t in = layer.in_channels, out = layer.out_channels;
  const int64_t quads = (layer.pixels + kInt8Quad - 1) / kInt8Quad;
  const int64_t padded_in = (in + kInt8Taps - 1) / kInt8Taps * kInt8Taps;
  auto data = std::make_shared<Data>();
  data->input.assign(quads * kInt8Quad * padded_in, 3);
  data->residual.assign(layer.pixels * out, 5);
  data->output.resize(quads * kInt8Quad * panels(out) * kPanel);
  data->packed.resize(packed_int8_pointwise_bytes(in, out));
  const std::vector<int8_t> weight(out * in, 2);
  const std::vector<int32_t> bias(out, 7);
  const std::vector<float> multiplier(out, 0x1p-8f);
  pack_int8_pointwise(in, out, weight.data(), bias.data(), multiplier.data(), 0, 0,
                      data->packed.data());
  return [=, &kernel] {
    Int8Pointwise args;
    args.input = {data->input.data(), way.input_quads ? kInt8Quad * padded_in : in};
    args.weights = data->packed.data();
    args.form = way.form;
    const bool narrow = way.form == Int8Output::kInt8 || way.form == Int8Output::kInt8Quads;
    args.output.data = data->output.data();
    args.output.stride = way.form == Int8Output::kInt8Quads ? 16 * quads : narrow ? out : 4 * out;
    if (way.residual) args.residual = {data->residual.data(), out};
    args.ratio = kRatioOne;
    args.pixels = layer.pixels;
    args.in_channels = in;
    args.out_channels = out;
    args.input_quads = way.input_quads;
    kernel.run(args);
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::layer_program(argc, argv, [] {
    std::vector<bench::LayerCase> cases;
    for (const Way& way : kWays) {
      if (!int8_pointwise_kernel().quads &&
          (way.input_quads || way.form == Int8Output::kInt8Quads)) {
        continue;
      }
      for (const Layer& layer : layers()) {
        cases.push_back({std::to_string(layer.pixels) + "x" + std::to_string(layer.in_channels) +
                             "x" + std::to_string(layer.out_channels) + way.name,
                         static_cast<double>(layer.pixels * layer.in_channels * layer.out_channels),
                         [=] { return prepare(layer, way); }});
      }
    }
    return cases;
  });
}
