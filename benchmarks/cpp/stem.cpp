// The stem kernel on images of the network's sizes; layer_program.h tells how to call it.
#include <memory>

#include "kernels/pointwise/variants.h"
#include "kernels/stem/variants.h"
#include "layer_program.h"

namespace {

using namespace seaformer;

struct Layer {
  const char* source;
  int64_t side, out_channels;  // of the output
};

constexpr Layer kLayers[] = {{"planar", 256, 16},      {"planar", 256, 32}, {"planar", 112, 16},
                             {"interleaved", 256, 16}, {"uint8", 256, 16},  {"uint8", 256, 32}};

struct Data {
  std::vector<float> image, packed, output;
  std::vector<uint8_t> bytes;
  Normalization normalization{};
};

// As the block runs it: rows of bytes are normalised two for each row of output.
std::function<void()> prepare(const Layer& layer) {
  const StemKernel& kernel = stem_kernel();
  const int64_t columns = 2 * layer.side + 1;
  const std::string source = layer.source;
  const bool planar = source == "planar", bytes = source == "uint8";
  auto data = std::make_shared<Data>();
  data->image.assign((bytes ? 3 : columns) * columns * 3, 0.5f);
  data->bytes.assign(columns * columns * 3, 100);
  data->output.resize(layer.side * layer.side * layer.out_channels);
  data->packed.resize(packed_pointwise_floats(27, layer.out_channels));
  const std::vector<float> weight(layer.out_channels * 27, 0.25f);
  pack_pointwise(27, layer.out_channels, weight.data(), nullptr, data->packed.data());
  return [=, &kernel] {
    for (int64_t y = 0; y < layer.side; ++y) {
      const void* rows[9];
      for (int i = 0; i < 9; ++i) {
        const int64_t row = planar ? i / 3 * columns + 2 * y + i % 3 : (2 * y + i % 3) * 3;
        rows[i] = data->image.data() + (bytes ? i % 3 * 3 : row) * columns;
      }
      for (int i = 0; bytes && i < 2; ++i) {
        kernel.normalize_u8(data->bytes.data() + (2 * y + i) * columns * 3, columns * 3,
                            data->normalization, data->image.data() + i * columns * 3);
      }
      Stem args;
      args.rows = rows;
      args.interleaved = !planar;
      args.weights = data->packed.data();
      args.output = {data->output.data() + y * layer.side * layer.out_channels, layer.out_channels};
      args.width = layer.side;
      args.out_channels = layer.out_channels;
      kernel.run(args);
    }
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::layer_program(argc, argv, [] {
    std::vector<bench::LayerCase> cases;
    for (const Layer& l : kLayers) {
      cases.push_back({std::string(l.source) + "-" + std::to_string(l.side) + "-" +
                           std::to_string(l.out_channels),
                       27.0 * static_cast<double>(l.side * l.side * l.out_channels),
                       [&l] { return prepare(l); }});
    }
    return cases;
  });
}
