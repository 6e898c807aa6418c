// The pointwise kernel on layers of the network; layer_program.h tells how to call it.
#include <memory>

#include "kernels/pointwise/variants.h"
#include "layer_program.h"

namespace {

using namespace seaformer;

struct Layer {
  int64_t pixels, in_channels, out_channels;
};

// Products of the family at 512x512: expansions, projections, attention, head and stem; then calls
// with as few pixels as fused blocks make.
constexpr Layer kLayers[] = {{65536, 16, 64},  {16384, 64, 16},  {16384, 48, 16},  {16384, 16, 48},
                             {16384, 64, 24},  {16384, 24, 72},  {16384, 72, 24},  {4096, 96, 32},
                             {4096, 64, 192},  {1024, 192, 64},  {1024, 384, 128}, {256, 256, 512},
                             {256, 512, 256},  {64, 256, 1536},  {64, 1536, 320},  {4096, 96, 150},
                             {4096, 160, 150}, {65536, 32, 128}, {65536, 27, 16},  {32, 16, 64},
                             {32, 64, 24},     {8, 192, 64},     {7, 192, 64}};

struct Data {
  std::vector<float> input, packed, output;
};

std::function<void()> prepare(const Layer& layer) {
  const PointwiseKernel& kernel = pointwise_kernel();
  const int64_t in = layer.in_channels, out = layer.out_channels;
  auto data = std::make_shared<Data>();
  data->input.assign(layer.pixels * in, 0.5f);
  data->output.resize(layer.pixels * out);
  data->packed.resize(packed_pointwise_floats(in, out));
  const std::vector<float> weight(out * in, 0.25f);
  pack_pointwise(in, out, weight.data(), nullptr, data->packed.data());
  return [=, &kernel] {
    kernel.run({data->input.data(), in, data->packed.data(), data->output.data(), out, nullptr, 0,
                nullptr, 0, layer.pixels, in, out, Activation::kRelu});
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::layer_program(argc, argv, [] {
    std::vector<bench::LayerCase> cases;
    for (const Layer& layer : kLayers) {
      cases.push_back({std::to_string(layer.pixels) + "x" + std::to_string(layer.in_channels) +
                           "x" + std::to_string(layer.out_channels),
                       static_cast<double>(layer.pixels * layer.in_channels * layer.out_channels),
                       [&layer] { return prepare(layer); }});
    }
    return cases;
  });
}
