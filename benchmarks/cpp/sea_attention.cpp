// SEA attention of every layer of the family: as networks run it, in either of its ways, and by the
// same kernels one after another; layer_program.h tells how to call it. Multiply-adds are those of
// the definition, whatever a way does more.
#include "blocks/sea_attention.h"

#include <cmath>
#include <cstring>
#include <memory>

#include "blocks/section_reader.h"
#include "blocks/squeeze_axial_attention.h"
#include "core/workspace.h"
#include "kernels/axial/variants.h"
#include "kernels/depthwise/variants.h"
#include "kernels/pointwise/variants.h"
#include "layer_program.h"
#include "shapes.h"
#include "whole_maps.h"

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

std::function<void()> prepare_fused(const Problem& p, SeaAttentionWay way) {
  auto data = std::make_shared<Data>(p);
  const MapShape shape{1, p.height, p.width};
  auto workspace =
      std::make_shared<Workspace>(sea_attention_workspace(shape, data->header(), 1, way));
  return [=] {
    sea_attention(shape, data->header(), /*residual=*/true, data->input.data(), data->output.data(),
                  workspace->data(), Sequential(), way);
  };
}

// Every map as a whole.
std::function<void()> prepare_unfused(const Problem& p) {
  struct Maps {
    explicit Maps(const Problem& p)
        : qkv(p.height, p.width, p.all(), 3),
          filtered(p.height * p.width * p.all()),
          detail(p.height * p.width * p.channels),
          gate(p.height * p.width * p.values()),
          attended((p.height + p.width) * p.values()),
          projected(attended.size()) {}
    bench::PaddedMap qkv;
    std::vector<float> filtered, detail, gate, attended, projected;
  };
  auto data = std::make_shared<Data>(p);
  auto maps = std::make_shared<Maps>(p);
  const int64_t all = p.all(), keys = p.keys(), values = p.values(), pixels = p.height * p.width;
  const auto part = [=](int64_t first, int64_t channels) {
    PixelMaps map;
    map.data = maps->qkv.data() + first;
    map.shape = {1, p.height, p.width};
    map.channels = channels;
    map.row_stride = maps->qkv.row_stride();
    map.pixel_stride = all;
    return map;
  };
  SectionReader sections(data->header());
  const void* expand = sections.pointwise(p.channels, all);
  const void* filter = sections.depthwise(all, 3);
  const void* detail = sections.pointwise(all, p.channels);
  const void* row = sections.pointwise(values, values);
  const void* column = sections.pointwise(values, values);
  const void* project = sections.pointwise(values, p.channels);
  const float* learned = sections.array(4 * 16 * keys);
  const auto positions = [=](int i) { return LearnedPositions{learned + i * 16 * keys, 16}; };
  SqueezeAxialAttention attention;
  attention.shape.maps = {1, p.height, p.width};
  attention.shape.heads = p.heads;
  attention.shape.key_dim = p.key_dim;
  attention.shape.value_dim = values / p.heads;
  attention.shape.scale = 1.0f / std::sqrt(static_cast<float>(p.key_dim));
  attention.shape.low = 0.0f;
  attention.shape.high = 6.0f;
  attention.q = part(0, keys);
  attention.k = part(keys, keys);
  attention.v = part(2 * keys, values);
  attention.row_q = positions(0);
  attention.row_k = positions(1);
  attention.column_q = positions(2);
  attention.column_k = positions(3);
  auto workspace = std::make_shared<Workspace>(squeeze_axial_attention_workspace(attention, 1));
  return [=] {
    const float* input = data->input.data();
    maps->qkv.fill(input, p.channels, expand, Activation::kNone);
    maps->qkv.depthwise(filter, 3, 1, Activation::kRelu6, maps->filtered.data());
    bench::pointwise(maps->filtered.data(), pixels, all, detail, p.channels, Activation::kNone,
                     maps->detail.data());
    float *rows = maps->attended.data(), *columns = rows + p.height * values;
    float *of_rows = maps->projected.data(), *of_columns = of_rows + p.height * values;
    squeeze_axial_attention(attention, rows, columns, workspace->data(), Sequential());
    bench::pointwise(rows, p.height, values, row, values, Activation::kNone, of_rows);
    bench::pointwise(columns, p.width, values, column, values, Activation::kNone, of_columns);
    for (int64_t y = 0; y < p.height; ++y) {
      AxialCombine sum;
      sum.v = attention.v.row(0, y, 0);
      sum.row = of_rows + y * values;
      sum.column = of_columns;
      sum.output = {maps->gate.data() + y * p.width * values, values};
      sum.width = p.width;
      sum.channels = values;
      axial_kernel().combine(sum);
    }
    Pointwise gate;
    gate.input = {maps->gate.data(), values};
    gate.weights = project;
    gate.output = {data->output.data(), p.channels};
    gate.multiplier = {maps->detail.data(), p.channels};
    gate.residual = {input, p.channels};
    gate.pixels = pixels;
    gate.in_channels = values;
    gate.out_channels = p.channels;
    gate.activation = Activation::kHardSigmoid;
    pointwise_kernel().run(gate);
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::layer_program(argc, argv, [] {
    using Prepare = std::function<std::function<void()>(const Problem&)>;
    const auto in = [](SeaAttentionWay way) {
      return [way](const Problem& p) { return prepare_fused(p, way); };
    };
    std::vector<bench::LayerCase> cases;
    for (const auto& [name, prepare] :
         {std::pair<const char*, Prepare>{"", in(SeaAttentionWay::kMeasuredBest)},
          {"/map", in(SeaAttentionWay::kKeepMap)},
          {"/ring", in(SeaAttentionWay::kRing)},
          {"/unfused", prepare_unfused}}) {
      for (const bench::Shape& shape : bench::read_shapes("sea_attention")) {
        const Problem p(shape.sizes);
        cases.push_back(
            {shape.module + name, p.macs(), [p, prepare = prepare] { return prepare(p); }});
      }
    }
    return cases;
  });
}
