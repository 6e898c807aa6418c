// The depthwise kernel on layers of the network; layer_program.h tells how to call it.
#include <iterator>
#include <memory>

#include "kernels/depthwise/variants.h"
#include "layer_program.h"
#include "shapes.h"

namespace {

using namespace seaformer;

struct Layer {
  int kernel_size, stride;
  int64_t width, height, channels;  // of the output
};

// Narrow ones whose rows fit the first-level cache, and two of the classifiers at 224x224.
constexpr Layer kOthers[] = {{3, 1, 64, 256, 16}, {3, 2, 64, 256, 16}, {5, 1, 64, 256, 16},
                             {5, 2, 32, 256, 16}, {3, 1, 32, 256, 32}, {3, 1, 14, 14, 192},
                             {3, 1, 7, 7, 512}};

// Those, then every depthwise convolution of the family at 512x512.
std::vector<Layer> layers() {
  std::vector<Layer> all(std::begin(kOthers), std::end(kOthers));
  for (const bench::Shape& shape : bench::read_shapes("depthwise")) {
    const std::vector<int64_t>& s = shape.sizes;
    const int kernel_size = static_cast<int>(s[3]), stride = static_cast<int>(s[4]);
    all.push_back({kernel_size, stride, (s[1] - 1) / stride + 1, (s[0] - 1) / stride + 1, s[2]});
  }
  return all;
}

template <class T>
struct Data {
  std::vector<T> input, packed, output;
};

// As a fused block runs it: rows come from a ring that the cache holds, and so does the output.
template <class T>
std::function<void()> prepare(const Layer& layer) {
  const DepthwiseKernel& kernel = depthwise_kernel(kElementOf<T>);
  const int64_t columns = (layer.width - 1) * layer.stride + layer.kernel_size;
  auto data = std::make_shared<Data<T>>();
  data->input.assign(layer.kernel_size * columns * layer.channels, from_float<T>(0.5f));
  data->output.resize(layer.width * layer.channels);
  data->packed.resize(packed_depthwise_floats(layer.channels, layer.kernel_size));
  const std::vector<float> weight(layer.channels * layer.kernel_size * layer.kernel_size, 0.25f);
  pack_depthwise(layer.channels, layer.kernel_size, weight.data(), nullptr, data->packed.data());
  return [=, &kernel] {
    for (int64_t y = 0; y < layer.height; ++y) {
      const void* rows[5];
      for (int i = 0; i < layer.kernel_size; ++i) {
        rows[i] = data->input.data() +
                  (y * layer.stride + i) % layer.kernel_size * columns * layer.channels;
      }
      Depthwise args;
      args.rows = rows;
      args.row_stride = layer.channels * static_cast<int64_t>(sizeof(T));
      args.weights = data->packed.data();
      args.output = {data->output.data(), layer.channels};
      args.width = layer.width;
      args.channels = layer.channels;
      args.kernel_size = layer.kernel_size;
      args.stride = layer.stride;
      args.activation = Activation::kRelu;
      kernel.run(args);
    }
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::with_element(argc, argv, [=](int count, auto zero) {
    using T = decltype(zero);
    return bench::layer_program(count, argv, [] {
      std::vector<bench::LayerCase> cases;
      for (const Layer& l : layers()) {
        const double macs =
            static_cast<double>(l.width * l.height * l.channels) * l.kernel_size * l.kernel_size;
        cases.push_back({std::to_string(l.kernel_size) + "x" + std::to_string(l.kernel_size) + "s" +
                             std::to_string(l.stride) + "-" + std::to_string(l.height) + "x" +
                             std::to_string(l.width) + "x" + std::to_string(l.channels),
                         macs, [=] { return prepare<T>(l); }});
      }
      return cases;
    });
  });
}
