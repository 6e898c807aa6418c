// The pointwise kernel on layers of the network; layer_program.h tells how to call it.
#include <iterator>
#include <memory>
#include <set>

#include "kernels/pointwise/variants.h"
#include "layer_program.h"
#include "shapes.h"

namespace {

using namespace seaformer;

struct Layer {
  int64_t pixels, in_channels, out_channels;
};

// Products that are no 1x1 convolution of the family: the stem's, and as few pixels as fused blocks
// give a call.
constexpr Layer kOthers[] = {
    {65536, 27, 16}, {32, 16, 64}, {32, 64, 24}, {8, 192, 64}, {7, 192, 64}};

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

template <class T>
struct Data {
  std::vector<T> input, packed, output;
};

template <class T>
std::function<void()> prepare(const Layer& layer) {
  const PointwiseKernel& kernel = pointwise_kernel(kElementOf<T>);
  const int64_t in = layer.in_channels, out = layer.out_channels;
  auto data = std::make_shared<Data<T>>();
  data->input.assign(layer.pixels * in, from_float<T>(0.5f));
  data->output.resize(layer.pixels * out);
  data->packed.resize(packed_pointwise_floats(in, out));
  const std::vector<float> weight(out * in, 0.25f);
  pack_pointwise(in, out, weight.data(), nullptr, data->packed.data());
  return [=, &kernel] {
    Pointwise args;
    args.input = {data->input.data(), in};
    args.weights = data->packed.data();
    args.output = {data->output.data(), out};
    args.pixels = layer.pixels;
    args.in_channels = in;
    args.out_channels = out;
    args.activation = Activation::kRelu;
    kernel.run(args);
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::with_element(argc, argv, [=](int count, auto zero) {
    using T = decltype(zero);
    return bench::layer_program(count, argv, [] {
      std::vector<bench::LayerCase> cases;
      for (const Layer& layer : layers()) {
        cases.push_back({std::to_string(layer.pixels) + "x" + std::to_string(layer.in_channels) +
                             "x" + std::to_string(layer.out_channels),
                         static_cast<double>(layer.pixels * layer.in_channels * layer.out_channels),
                         [=] { return prepare<T>(layer); }});
      }
      return cases;
    });
  });
}
