// Blocks of int8 with parts of float32 against float64: a step off at most, where rounding to whole
// numbers makes one of an error of float32, and the same whatever the number of threads.
#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <vector>

#include "blocks/gate.h"
#include "core/workspace.h"
#include "gate_problem.h"
#include "int8_block_cases.h"
#include "on_isas.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::Int8Header;
using test::Int8Packer;
using test::Map;
using test::RandomLayer;

namespace {

using Bytes = Guarded<unsigned char>;
using Doubles = std::vector<double>;

// A layer whose outputs are about so large, and floats.
RandomLayer float_layer(int64_t outputs, int64_t inputs, double size, std::mt19937& random) {
  RandomLayer layer(outputs, inputs, random);
  for (float& x : layer.multiplier) x *= static_cast<float>(size / 60);
  return layer;
}

Doubles convolved(const RandomLayer& layer, const Map& input) {
  Doubles output;
  for (std::size_t p = 0; p < input.size(); p += layer.inputs) {
    for (int64_t n = 0; n < layer.outputs; ++n) {
      int64_t sum = layer.bias[n];
      for (int64_t k = 0; k < layer.inputs; ++k) {
        sum += input[p + k] * layer.weight[n * layer.inputs + k];
      }
      output.push_back(double(sum) * double{layer.multiplier[n]});
    }
  }
  return output;
}

double ramp(double x) { return std::clamp(x + 3, 0.0, 6.0); }

struct RandomMap {
  RandomMap(int64_t elements, std::mt19937& random) : bytes(elements, Against::kEnd) {
    for (int64_t i = 0; i < elements; ++i) {
      bytes[i] = static_cast<int8_t>(random() % 256);
      map.push_back(bytes[i]);
    }
  }
  Guarded<int8_t> bytes;
  Map map;
};

// Runs a block by several numbers of threads, which must agree.
template <class T>
std::vector<T> run(const PackedHeader& packed, const BlockCall& call, const int8_t* input,
                   const int8_t* coarse) {
  const BlockKind& kind = kind_of(packed);
  std::optional<std::vector<T>> first;
  for (const int64_t threads : {1, 2, 3}) {
    Guarded<T> output(kind.output_size(packed, call.input).elements(), Against::kEnd);
    Bytes workspace(align_up(kind.workspace(call, threads)), Against::kEnd);
    kind.run(call, {{}, input, coarse, output.data(), nullptr, workspace.data()},
             test::Threads(threads));
    std::vector<T> got(output.data(), output.data() + output.size());
    check(!first || *first == got, threads, " threads make another result");
    first = std::move(got);
  }
  return *first;
}

// Steps that int8 numbers may be off, and the share of those that are.
void compare(const Doubles& expected, const std::vector<int8_t>& got, int most, double share) {
  check(expected.size() == got.size(), "expected ", expected.size(), " numbers, got ", got.size());
  std::size_t off = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const int number = RandomLayer::clamped(std::nearbyint(expected[i]));
    check(std::abs(number - got[i]) <= most, "number ", i, ": expected ", expected[i], ", got ",
          int{got[i]});
    off += number != got[i];
  }
  check(off <= 2 + share * double(expected.size()), off, " of ", expected.size(), " are off");
}

struct GateMaps {
  GateMaps(const GateShape& shape, int local_channels, int coarse_channels, int out,
           std::mt19937& random)
      : shape(shape),
        local(shape.local.pixels() * local_channels, random),
        coarse(shape.coarse.pixels() * coarse_channels, random),
        local_layer(float_layer(out, local_channels, 20, random)),
        coarse_layer(float_layer(out, coarse_channels, 3, random)),
        out(out) {}

  // Local products times the resized ramps.
  Doubles gated() const {
    const MapShape &fine = shape.local, &from = shape.coarse;
    const Doubles products = convolved(local_layer, local.map);
    Doubles gates = convolved(coarse_layer, coarse.map);
    for (double& x : gates) x = ramp(x);
    Doubles all;
    for (int64_t p = 0; p < fine.pixels(); ++p) {
      int64_t row[2], column[2];
      double row_weight[2], column_weight[2];
      test::GateProblem::sources(from.height, fine.height, p / fine.width % fine.height, row,
                                 row_weight);
      test::GateProblem::sources(from.width, fine.width, p % fine.width, column, column_weight);
      const int64_t first = p / fine.width / fine.height * from.height;
      for (int64_t n = 0; n < out; ++n) {
        double gate = 0;
        for (int i = 0; i < 4; ++i) {
          const int64_t at = (first + row[i / 2]) * from.width + column[i % 2];
          gate += row_weight[i / 2] * column_weight[i % 2] * gates[at * out + n];
        }
        all.push_back(products[p * out + n] * gate);
      }
    }
    return all;
  }

  GateShape shape;
  RandomMap local, coarse;
  RandomLayer local_layer, coarse_layer;
  int64_t out;
};

// Of positions along an axis, by learned ones.
double position(const Doubles& learned, int64_t keys, int64_t i, int64_t length, int64_t channel) {
  int64_t at[2];
  double weight[2];
  test::GateProblem::sources(16, length, i, at, weight);
  return weight[0] * learned[at[0] * keys + channel] + weight[1] * learned[at[1] * keys + channel];
}

struct SeaCase {
  MapShape shape;
  int heads, key_dim, value_dim, channels;
  bool residual;
};

constexpr QuantizedNumbers kNumbers = {0.05f, 0.04f, 0, {0.03f, 6 / 255.0f, 6 / 255.0f}};

class SeaProblem {
 public:
  SeaProblem(const SeaCase& c, std::mt19937& random)
      : c_(c),
        keys_(c.heads * c.key_dim),
        values_(c.heads * c.value_dim),
        all_(2 * keys_ + values_),
        input_(c.shape.pixels() * c.channels, random),
        expand_(all_, c.channels, random),
        depthwise_(all_, 9, random),
        detail_(float_layer(c.channels, all_, 6, random)),
        row_(float_layer(values_, values_, 50, random)),
        column_(float_layer(values_, values_, 50, random)),
        project_(float_layer(c.channels, values_, 3, random)),
        packer_(header(), kNumbers, Against::kEnd) {
    packer_.pointwise(expand_, 0, 0);
    packer_.depthwise(depthwise_, 3, -128);
    packer_.pointwise(detail_, -128, 0);
    for (const RandomLayer* layer : {&row_, &column_, &project_}) {
      packer_.pointwise(*layer, -128, 0);
    }
    std::normal_distribution<float> normal;
    for (Doubles& learned : learned_) {
      std::vector<float> floats;
      for (int64_t i = 0; i < 16 * keys_; ++i) floats.push_back(normal(random));
      learned.assign(floats.begin(), floats.end());
      packer_.append_array(floats.data(), floats.size() * sizeof(float));
    }
  }

  std::vector<int8_t> result() const {
    const PackedHeader& packed = packer_.checked();
    const MapSize size{c_.shape, c_.channels};
    return run<int8_t>(packed, {packed, c_.residual, size, size}, input_.bytes.data(), nullptr);
  }

  Doubles expected() const {
    const MapShape& s = c_.shape;
    const Map map = test::pointwise(expand_, input_.map, 0);
    const Map filtered = test::depthwise(depthwise_, s, map, 3, 1, -128);
    const Doubles detail = convolved(detail_, filtered);
    const Doubles rows = along(map, true), columns = along(map, false);
    Map gates;  // of the gate's convolution
    const double units = 1 / double{kNumbers.inner[2]};
    for (int64_t p = 0; p < s.pixels(); ++p) {
      const int64_t image = p / s.width / s.height, y = p / s.width % s.height, x = p % s.width;
      for (int64_t v = 0; v < values_; ++v) {
        const double sum = map[p * all_ + 2 * keys_ + v] * double{kNumbers.inner[0]} * units +
                           rows[(image * s.height + y) * values_ + v] +
                           columns[(image * s.width + x) * values_ + v];
        gates.push_back(RandomLayer::clamped(std::nearbyint(sum) - 128) + 128);
      }
    }
    Doubles output = convolved(project_, gates);
    const double ratio = double{kNumbers.input_scale} / double{kNumbers.output_scale};
    for (std::size_t i = 0; i < output.size(); ++i) {
      output[i] = ramp(output[i]) * detail[i];
      if (c_.residual) output[i] += input_.map[i] * ratio;
    }
    return output;
  }

 private:
  Int8Header header() const {
    Int8Header h(PackedKind::kSeaAttention, c_.channels, static_cast<int32_t>(all_), c_.channels);
    h.kernel_size = 3, h.stride = 1, h.flags = kPackedExpands;
    h.depthwise_activation = static_cast<int32_t>(Activation::kRelu6);
    h.heads = c_.heads, h.key_dim = c_.key_dim;
    return h;
  }

  // Attention along an axis, through its projection: [images][positions][values].
  Doubles along(const Map& map, bool rows) const {
    const MapShape& s = c_.shape;
    const int64_t length = rows ? s.height : s.width, other = rows ? s.width : s.height;
    const Doubles* learned = learned_ + (rows ? 0 : 2);
    Map attended;
    for (int64_t image = 0; image < s.batch; ++image) {
      Doubles means(length * all_);
      for (int64_t i = 0; i < length; ++i) {
        for (int64_t j = 0; j < other; ++j) {
          const int64_t y = rows ? i : j, x = rows ? j : i;
          const int64_t pixel = (image * s.height + y) * s.width + x;
          for (int64_t n = 0; n < all_; ++n) {
            means[i * all_ + n] += map[pixel * all_ + n] * double{kNumbers.inner[0]} / other;
          }
        }
        for (int64_t n = 0; n < 2 * keys_; ++n) {
          means[i * all_ + n] += position(learned[n / keys_], keys_, i, length, n % keys_);
        }
      }
      for (int64_t i = 0; i < length; ++i) {
        for (int64_t v = 0; v < values_; ++v) {
          const int64_t head = v / c_.value_dim;
          double total = 0, sum = 0;
          for (int64_t j = 0; j < length; ++j) {
            double score = 0;
            for (int64_t d = head * c_.key_dim; d < (head + 1) * c_.key_dim; ++d) {
              score += means[i * all_ + d] * means[j * all_ + keys_ + d];
            }
            const double weight = std::exp(score / std::sqrt(c_.key_dim));
            total += weight;
            sum += weight * means[j * all_ + 2 * keys_ + v];
          }
          const double mean = std::clamp(sum / total, 0.0, 6.0) / double{kNumbers.inner[1]};
          attended.push_back(RandomLayer::clamped(std::nearbyint(mean) - 128) + 128);
        }
      }
    }
    return convolved(rows ? row_ : column_, attended);
  }

  SeaCase c_;
  int64_t keys_, values_, all_;
  RandomMap input_;
  RandomLayer expand_, depthwise_, detail_, row_, column_, project_;
  Doubles learned_[4];
  Int8Packer packer_;
};

}  // namespace

TEST(int8_fusion_gate) {
  test::on_every_isa([] {
    for (const GateShape& shape : test::gate_shapes()) {
      std::mt19937 random(static_cast<unsigned>(shape.local.width));
      const GateMaps maps(shape, 9, 17, 21, random);
      Int8Packer packer(Int8Header(PackedKind::kFusionGate, 9, 17, 21), kNumbers, Against::kEnd);
      packer.pointwise(maps.local_layer, 0, 0);
      packer.pointwise(maps.coarse_layer, 0, 0);
      const PackedHeader& packed = packer.checked();
      const BlockCall call{packed, false, {shape.local, 9}, {shape.coarse, 17}};
      compare(maps.gated(),
              run<int8_t>(packed, call, maps.local.bytes.data(), maps.coarse.bytes.data()), 1,
              0.002);
    }
  });
}

TEST(int8_segmentation_head) {
  test::on_every_isa([] {
    for (const GateShape& shape : test::gate_shapes()) {
      std::mt19937 random(static_cast<unsigned>(shape.local.width));
      const GateMaps maps(shape, 9, 17, 21, random);
      std::vector<float> shift(21);
      for (float& x : shift) x = static_cast<float>(random() % 64);
      const RandomLayer classifier = float_layer(7, 21, 5, random);
      Int8Header header(PackedKind::kSegmentationHead, 9, 17, 21);
      header.classes = 7;
      Int8Packer packer(header, kNumbers, Against::kEnd);
      packer.pointwise(maps.local_layer, 0, 0);
      packer.pointwise(maps.coarse_layer, 0, 0);
      packer.append_array(shift.data(), shift.size() * sizeof(float));
      packer.pointwise(classifier, -128, 0);
      const PackedHeader& packed = packer.checked();
      const BlockCall call{packed, false, {shape.local, 9}, {shape.coarse, 17}};
      const std::vector<float> got =
          run<float>(packed, call, maps.local.bytes.data(), maps.coarse.bytes.data());
      Map fused;
      const Doubles gated = maps.gated();
      for (std::size_t i = 0; i < gated.size(); ++i) {
        const double sum = std::nearbyint(gated[i] + double{shift[i % 21]});
        fused.push_back(RandomLayer::clamped(sum - 128) + 128);
      }
      const Doubles expected = convolved(classifier, fused);
      check(got.size() == expected.size(), "expected other sizes");
      for (std::size_t i = 0; i < got.size(); ++i) {
        // Of a fused number that is a step off.
        const double step = 127.0 * double{classifier.multiplier[i % 7]};
        check(std::abs(got[i] - expected[i]) <= 1.001 * step, "number ", i, ": expected ",
              expected[i], ", got ", got[i]);
      }
    }
  });
}

TEST(int8_sea_attention) {
  test::on_every_isa([] {
    const SeaCase cases[] = {{{1, 1, 1}, 1, 1, 1, 1, false},
                             {{1, 3, 4}, 2, 3, 5, 6, true},
                             {{2, 9, 7}, 4, 8, 16, 20, true},
                             {{1, 16, 16}, 2, 16, 33, 17, false},
                             {{2, 5, 31}, 8, 4, 8, 32, true}};
    for (const SeaCase& c : cases) {
      std::mt19937 random(static_cast<unsigned>(c.channels));
      const SeaProblem problem(c, random);
      compare(problem.expected(), problem.result(), 4, 0.03);
    }
  });
}
