// The SEA attention block, in both its ways, against its definition in float64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "blocks/sea_attention.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "packed_buffer.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::PackedBuffer;

namespace {

using Doubles = std::vector<double>;

struct Case {
  int64_t batch, height, width, channels;
  int heads, key_dim, value_dim;
  bool residual = false;

  int64_t keys() const { return heads * key_dim; }
  int64_t values() const { return heads * value_dim; }
  int64_t all() const { return 2 * keys() + values(); }
};

struct Layer {
  std::vector<float> weight, bias;
};

double clamp6(double x) { return std::clamp(x, 0.0, 6.0); }

// Weights, input, and the block's equations one after another.
struct Problem {
  Problem(const Case& c, Against side)
      : c(c), side(side), input(c.batch * c.height * c.width * c.channels, side) {
    std::mt19937 random(static_cast<unsigned>(c.height * 31 + c.width * 7 + c.channels));
    std::normal_distribution<float> normal;
    const auto layer = [&](int64_t out, int64_t in) {
      Layer l{std::vector<float>(out * in), std::vector<float>(out)};
      for (float& x : l.weight) x = normal(random) / std::sqrt(static_cast<float>(in));
      for (float& x : l.bias) x = normal(random) * 0.3f;
      return l;
    };
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = normal(random);
    qkv = layer(c.all(), c.channels);
    depthwise = layer(c.all(), 9);
    detail = layer(c.channels, c.all());
    row = layer(c.values(), c.values());
    column = layer(c.values(), c.values());
    project = layer(c.channels, c.values());
    positions.resize(4 * 16 * c.keys());
    for (float& x : positions) x = normal(random);

    PackedHeader h{};
    h.kind = static_cast<int32_t>(PackedKind::kSeaAttention);
    h.in_channels = h.out_channels = static_cast<int32_t>(c.channels);
    h.hidden_channels = static_cast<int32_t>(c.all());
    h.kernel_size = 3;
    h.stride = 1;
    h.depthwise_activation = static_cast<int32_t>(Activation::kRelu6);
    h.flags = kPackedExpands;
    h.heads = c.heads, h.key_dim = c.key_dim;
    packed.emplace(h);
    packed->append_pointwise(qkv.weight, qkv.bias);
    packed->append_depthwise(3, depthwise.weight, depthwise.bias);
    for (const Layer* l : {&detail, &row, &column, &project}) {
      packed->append_pointwise(l->weight, l->bias);
    }
    packed->append(positions);
    header = &packed->place(side);
  }

  std::vector<float> run(int64_t threads, SeaAttentionWay way) const {
    const MapShape shape{c.batch, c.height, c.width};
    Guarded<float> output(input.size(), side);
    Guarded<unsigned char> workspace(sea_attention_workspace(shape, *header, threads, way),
                                     Against::kEnd);
    sea_attention(shape, *header, c.residual, input.data(), output.data(), workspace.data(),
                  test::Threads(threads), way);
    return {output.data(), output.data() + output.size()};
  }

  // Weight times pixels [count][in], plus bias.
  static Doubles linear(const Layer& l, const Doubles& x) {
    const int64_t out = l.bias.size(), in = l.weight.size() / l.bias.size();
    const int64_t count = x.size() / in;
    Doubles y(count * out);
    for (int64_t p = 0; p < count; ++p) {
      for (int64_t n = 0; n < out; ++n) {
        double sum = l.bias[n];
        for (int64_t k = 0; k < in; ++k) sum += x[p * in + k] * l.weight[n * in + k];
        y[p * out + n] = sum;
      }
    }
    return y;
  }

  // A learned position, resized to one of `length` with half-pixel centres.
  double position(int which, int64_t i, int64_t length, int64_t channel) const {
    const double source = std::max((i + 0.5) * 16 / length - 0.5, 0.0);
    const int64_t low = std::min<int64_t>(static_cast<int64_t>(source), 15);
    const int64_t high = std::min<int64_t>(low + 1, 15);
    const double weight = source - low;
    const float* p = positions.data() + which * 16 * c.keys() + channel;
    return (1 - weight) * p[low * c.keys()] + weight * p[high * c.keys()];
  }

  // Attention along an axis whose means of queries, keys and values are given.
  Doubles attend(Doubles mean, int64_t length, bool rows) const {
    for (int64_t i = 0; i < length; ++i) {
      for (int64_t n = 0; n < 2 * c.keys(); ++n) {
        const int which = (rows ? 0 : 2) + (n < c.keys() ? 0 : 1);
        mean[i * c.all() + n] += position(which, i, length, n % c.keys());
      }
    }
    Doubles y(length * c.values());
    for (int head = 0; head < c.heads; ++head) {
      for (int64_t i = 0; i < length; ++i) {
        Doubles score(length);
        for (int64_t j = 0; j < length; ++j) {
          for (int d = 0; d < c.key_dim; ++d) {
            score[j] += mean[i * c.all() + head * c.key_dim + d] *
                        mean[j * c.all() + c.keys() + head * c.key_dim + d];
          }
          score[j] /= std::sqrt(static_cast<double>(c.key_dim));
        }
        const double top = *std::max_element(score.begin(), score.end());
        double total = 0;
        for (double& s : score) total += s = std::exp(s - top);
        for (int64_t j = 0; j < length; ++j) {
          for (int d = 0; d < c.value_dim; ++d) {
            const int64_t n = head * c.value_dim + d;
            y[i * c.values() + n] += score[j] / total * mean[j * c.all() + 2 * c.keys() + n];
          }
        }
      }
    }
    for (double& x : y) x = clamp6(x);
    return linear(rows ? row : column, y);
  }

  Doubles expected() const {
    Doubles result;
    for (int64_t b = 0; b < c.batch; ++b) {
      const float* image = input.data() + b * c.height * c.width * c.channels;
      const Doubles x(image, image + c.height * c.width * c.channels);
      const Doubles map = linear(qkv, x);
      Doubles filtered(map.size()), rows(c.height * c.all()), columns(c.width * c.all());
      for (int64_t h = 0; h < c.height; ++h) {
        for (int64_t w = 0; w < c.width; ++w) {
          for (int64_t n = 0; n < c.all(); ++n) {
            const double value = map[(h * c.width + w) * c.all() + n];
            rows[h * c.all() + n] += value / c.width;
            columns[w * c.all() + n] += value / c.height;
            double sum = depthwise.bias[n];
            for (int64_t i = -1; i <= 1; ++i) {
              for (int64_t j = -1; j <= 1; ++j) {
                if (h + i < 0 || h + i >= c.height || w + j < 0 || w + j >= c.width) continue;
                sum += map[((h + i) * c.width + w + j) * c.all() + n] *
                       depthwise.weight[n * 9 + (i + 1) * 3 + j + 1];
              }
            }
            filtered[(h * c.width + w) * c.all() + n] = clamp6(sum);
          }
        }
      }
      const Doubles details = linear(detail, filtered);
      rows = attend(rows, c.height, true);
      columns = attend(columns, c.width, false);
      Doubles sum(c.height * c.width * c.values());
      for (int64_t h = 0; h < c.height; ++h) {
        for (int64_t w = 0; w < c.width; ++w) {
          for (int64_t n = 0; n < c.values(); ++n) {
            const int64_t pixel = h * c.width + w;
            sum[pixel * c.values() + n] =
                clamp6(map[pixel * c.all() + 2 * c.keys() + n] + rows[h * c.values() + n] +
                       columns[w * c.values() + n]);
          }
        }
      }
      const Doubles gate = linear(project, sum);
      for (std::size_t i = 0; i < gate.size(); ++i) {
        result.push_back(clamp6(gate[i] + 3) / 6 * details[i] + (c.residual ? x[i] : 0));
      }
    }
    return result;
  }

  Case c;
  Against side;
  Guarded<float> input;
  std::optional<PackedBuffer> packed;
  const PackedHeader* header;
  Layer qkv, depthwise, detail, row, column, project;
  std::vector<float> positions;
};

// Sums of normal terms a few times in a row: an error of 2^-24 of each sum, which is about as large
// as its terms together are, grows by less than this.
constexpr double kBound = 2e-5;

void run_case(const Case& c) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    const Problem problem(c, side);
    const Doubles expected = problem.expected();
    test::on_every_isa([&] {
      for (const SeaAttentionWay way : {SeaAttentionWay::kKeepMap, SeaAttentionWay::kRing}) {
        const std::vector<float> one = problem.run(1, way);
        const char* name = way == SeaAttentionWay::kRing ? " ring: " : " kept map: ";
        for (std::size_t i = 0; i < one.size(); ++i) {
          const double error = std::abs(one[i] - expected[i]);
          check(error <= kBound * std::max(1.0, std::abs(expected[i])), c.batch, "x", c.height, "x",
                c.width, "x", c.channels, name, "element ", i, " is ", one[i], ", expected ",
                expected[i]);
        }
        if (side == Against::kStart) continue;  // once is enough for threads
        for (int64_t threads : {2, 8}) {
          const std::vector<float> many = problem.run(threads, way);
          check(std::memcmp(many.data(), one.data(), one.size() * sizeof(float)) == 0, c.height,
                "x", c.width, name, threads, " threads differ from one");
        }
      }
    });
  }
}

}  // namespace

TEST(sea_attention_sizes) {
  for (auto [height, width] : {std::pair{1, 1}, {1, 7}, {5, 1}, {17, 6}, {3, 33}}) {
    run_case({1, height, width, 24, 2, 5, 9});
    run_case({2, height, width, 16, 3, 16, 32, true});
  }
}

TEST(sea_attention_of_tiny) { run_case({1, 16, 16, 128, 4, 16, 32, true}); }

TEST(sea_attention_in_strips) { run_case({1, 4, 130, 8, 4, 16, 32}); }

TEST(sea_attention_nan_spreads) {
  const Case c{1, 3, 4, 8, 2, 4, 8};
  Problem problem(c, Against::kEnd);
  problem.input[0] = std::numeric_limits<float>::quiet_NaN();
  test::on_every_isa([&] {
    for (const SeaAttentionWay way : {SeaAttentionWay::kKeepMap, SeaAttentionWay::kRing}) {
      for (float y : problem.run(1, way)) check(std::isnan(y), "a NaN was lost");
    }
  });
}
