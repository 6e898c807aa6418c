// The stem and the block behind it, in one go or in turn, on images of 512x512 and 224x224;
// layer_program.h tells how to call it. The unfused ones follow the fused.
#include "blocks/stem_block.h"

#include <cstring>
#include <memory>

#include "blocks/inverted_residual.h"
#include "core/workspace.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"
#include "layer_program.h"

namespace {

using namespace seaformer;

constexpr int64_t kChannels = 16;  // of the stem and the block

struct Case {
  int64_t side;  // of the image
  bool bytes;    // interleaved and normalised, else planar floats
};

constexpr Case kCases[] = {{512, false}, {512, true}, {224, false}};

std::vector<float> packed_weights(PackedHeader header, int64_t floats) {
  std::vector<float> packed(sizeof(PackedHeader) / sizeof(float) + floats, 0.01f);
  std::memcpy(packed.data(), &header, sizeof header);
  return packed;
}

struct Data {
  explicit Data(const Case& c)
      : shape{1, c.side, c.side},
        image(3 * c.side * c.side * (c.bytes ? 1 : sizeof(float)), 7),
        images(c.bytes ? interleaved_images(image.data(), shape)
                       : planar_images(reinterpret_cast<const float*>(image.data()), shape)),
        block_shape{1, stem_out(c.side), stem_out(c.side)} {
    PackedHeader header{};
    header.in_channels = 3, header.out_channels = kChannels;
    stem = packed_weights(header, packed_pointwise_floats(27, kChannels) + kPanel);
    const float plain[6] = {0, 0, 0, 1, 1, 1}, rgb[6] = {120, 116, 104, 0.017f, 0.018f, 0.018f};
    std::memcpy(stem.data() + stem.size() - kPanel, c.bytes ? rgb : plain, sizeof plain);
    header.in_channels = header.hidden_channels = kChannels;
    header.kernel_size = 3, header.stride = 1;
    header.depthwise_activation = static_cast<int32_t>(Activation::kRelu);
    block = packed_weights(header, packed_depthwise_floats(kChannels, 3) +
                                       packed_pointwise_floats(kChannels, kChannels));
    between.resize(block_shape.pixels() * kChannels);
    output.resize(between.size());
  }
  StemBlock weights() const {
    return {reinterpret_cast<const PackedHeader&>(*stem.data()),
            reinterpret_cast<const PackedHeader&>(*block.data()), true};
  }

  MapShape shape;
  std::vector<unsigned char> image;
  StemImages images;
  MapShape block_shape;
  std::vector<float> stem, block, between, output;
};

std::function<void()> prepare_fused(const Case& c) {
  auto data = std::make_shared<Data>(c);
  auto workspace =
      std::make_shared<Workspace>(stem_block_workspace(data->shape, data->weights(), 1));
  return [=] {
    stem_block(data->shape, data->weights(), data->images, data->output.data(), workspace->data(),
               Sequential());
  };
}

std::function<void()> prepare_unfused(const Case& c) {
  auto data = std::make_shared<Data>(c);
  const StemBlock weights = data->weights();
  auto first = std::make_shared<Workspace>(stem_workspace(data->shape, weights.stem, 1));
  auto second =
      std::make_shared<Workspace>(inverted_residual_workspace(data->block_shape, weights.block, 1));
  return [=] {
    stem(data->shape, weights.stem, data->images, data->between.data(), first->data(),
         Sequential());
    inverted_residual(data->block_shape, weights.block, weights.residual, data->between.data(),
                      data->output.data(), second->data(), Sequential());
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::layer_program(argc, argv, [] {
    std::vector<bench::LayerCase> cases;
    for (const bool fused : {true, false}) {
      for (const Case& c : kCases) {
        const double pixels = static_cast<double>(stem_out(c.side) * stem_out(c.side));
        cases.push_back(
            {(c.bytes ? "uint8-" : "planar-") + std::to_string(c.side) + (fused ? "" : "/unfused"),
             pixels * kChannels * (27 + 9 + kChannels),
             [=] { return fused ? prepare_fused(c) : prepare_unfused(c); }});
      }
    }
    return cases;
  });
}
