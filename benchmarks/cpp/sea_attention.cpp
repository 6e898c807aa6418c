// SEA attention of every layer of the family, in both its ways; layer_program.h tells how to call
// it. Multiply-adds are those of the definition, whatever a way does more.
#include "blocks/sea_attention.h"

#include <cmath>
#include <cstring>
#include <memory>

#include "core/workspace.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"
#include "layer_program.h"
#include "shapes.h"

namespace {

using namespace seaformer;

struct Problem {
  explicit Problem(const std::vector<int64_t>& sizes)
      : height(sizes[0]), width(sizes[1]), channels(sizes[2]), key_dim(sizes[3]), heads(sizes[4]) {}

  int64_t keys() const { return heads * key_dim; }
  int64_t values() const { return 2 * keys(); }
  int64_t all() const { return 2 * keys() + values(); }
  double macs() const {
    const double pixels = height * width, axes = height * height + width * width;
    return pixels * (2.0 * channels * all() + 9.0 * all() + 1.0 * values() * channels) +
           1.0 * (height + width) * values() * values() + axes * (keys() + values());
  }

  int64_t height, width, channels, key_dim, heads;
};

struct Data {
  explicit Data(const Problem& p)
      : input(p.height * p.width * p.channels, 0.5f),
        output(input.size()),
        packed(sizeof(PackedHeader) / sizeof(float)) {
    PackedHeader h{};
    h.kind = static_cast<int32_t>(PackedKind::kSeaAttention);
    h.in_channels = h.out_channels = static_cast<int32_t>(p.channels);
    h.hidden_channels = static_cast<int32_t>(p.all());
    h.kernel_size = 3;
    h.stride = 1;
    h.depthwise_activation = static_cast<int32_t>(Activation::kRelu6);
    h.flags = kPackedExpands;
    h.heads = static_cast<int32_t>(p.heads);
    h.key_dim = static_cast<int32_t>(p.key_dim);
    std::memcpy(packed.data(), &h, sizeof h);
    const int64_t floats = packed_pointwise_floats(p.channels, p.all()) +
                           packed_depthwise_floats(p.all(), 3) +
                           packed_pointwise_floats(p.all(), p.channels) +
                           2 * packed_pointwise_floats(p.values(), p.values()) +
                           packed_pointwise_floats(p.values(), p.channels) + 4 * 16 * p.keys();
    packed.resize(packed.size() + floats, 0.01f);
  }
  const PackedHeader& header() const {
    return *reinterpret_cast<const PackedHeader*>(packed.data());
  }

  std::vector<float> input, output, packed;
};

std::function<void()> prepare(const Problem& p, SeaAttentionWay way) {
  auto data = std::make_shared<Data>(p);
  const SeaAttentionShape shape{1, p.height, p.width, true};
  auto workspace =
      std::make_shared<Workspace>(sea_attention_workspace(shape, data->header(), 1, way));
  return [=] {
    sea_attention(shape, data->header(), data->input.data(), data->output.data(), workspace->data(),
                  Sequential(), way);
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::layer_program(argc, argv, [] {
    std::vector<bench::LayerCase> cases;
    for (const auto& [name, way] : {std::pair{"/map", SeaAttentionWay::kKeepMap},
                                    std::pair{"/ring", SeaAttentionWay::kRing}}) {
      for (const bench::Shape& shape : bench::read_shapes("sea_attention")) {
        const Problem p(shape.sizes);
        cases.push_back(
            {shape.module + name, p.macs(), [p, way = way] { return prepare(p, way); }});
      }
    }
    return cases;
  });
}
