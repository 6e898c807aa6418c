// The int8 depthwise kernel on layers of the network; layer_program.h tells how to call it.
#include <iterator>
#include <memory>

#include "kernels/int8_depthwise/variants.h"
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
                             {5, 2, 32, 256, 16}, {3, 1, 24, 256, 16}, {3, 1, 14, 14, 192},
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

struct Data {
  std::vector<int8_t> input, prepared, output;
};

// As a fused block runs it: rows come from a ring that the cache holds, and so does the output, and
// weights are prepared for all rows.
std::function<void()> prepare(const Layer& layer) {
  const Int8DepthwiseKernel& kernel = int8_depthwise_kernel();
  const int64_t taps = layer.kernel_size * layer.kernel_size, channels = layer.channels;
  const int64_t quads = (layer.width + 3) / 4, rows_of_quads = (channels + 3) / 4;
  const int64_t row_stride = 16 * (quads * layer.stride + 2), row = rows_of_quads * row_stride;
  auto data = std::make_shared<Data>();
  data->input.assign(layer.kernel_size * row, 3);
  data->output.resize(16 * quads * rows_of_quads);
  std::vector<int8_t> packed(packed_int8_depthwise_bytes(channels, layer.kernel_size));
  const std::vector<int8_t> weight(channels * taps, 2);
  const std::vector<int32_t> bias(channels, 7);
  const std::vector<float> multiplier(channels, 0x1p-4f);
  pack_int8_depthwise(channels, layer.kernel_size, weight.data(), bias.data(), multiplier.data(), 0,
                      packed.data());
  const Int8DepthwiseShape shape = {channels, layer.kernel_size, layer.stride};
  data->prepared.resize(kernel.prepared_bytes(shape));
  kernel.prepare(shape, packed.data(), 0, data->prepared.data());
  return [=, &kernel] {
    for (int64_t y = 0; y < layer.height; ++y) {
      const void* rows[5];
      for (int i = 0; i < layer.kernel_size; ++i) {
        rows[i] = data->input.data() + 16 + (y * layer.stride + i) % layer.kernel_size * row;
      }
      Int8Depthwise args;
      args.rows = rows;
      args.row_stride = row_stride;
      args.weights = data->prepared.data();
      args.output = {data->output.data(), 16 * rows_of_quads};
      args.width = layer.width;
      args.channels = channels;
      args.kernel_size = layer.kernel_size;
      args.stride = layer.stride;
      kernel.run(args);
    }
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::layer_program(argc, argv, [] {
    std::vector<bench::LayerCase> cases;
    for (const Layer& l : layers()) {
      const double macs =
          static_cast<double>(l.width * l.height * l.channels) * l.kernel_size * l.kernel_size;
      cases.push_back({std::to_string(l.kernel_size) + "x" + std::to_string(l.kernel_size) + "s" +
                           std::to_string(l.stride) + "-" + std::to_string(l.height) + "x" +
                           std::to_string(l.width) + "x" + std::to_string(l.channels),
                       macs, [=] { return prepare(l); }});
    }
    return cases;
  });
}
