// Squeeze-axial attention on given queries, keys and values, against its definition in float64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "blocks/squeeze_axial_attention.h"
#include "check.h"
#include "guarded.h"
#include "on_isas.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;

namespace {

using Doubles = std::vector<double>;

struct Case {
  AxialHeadsShape shape;
  int64_t learned[4];  // positions of queries and keys of rows, then of columns; 0 for none
};

struct Problem {
  Problem(const Case& c, Against side)
      : c(c),
        side(side),
        q(pixels() * c.shape.keys(), side),
        k(pixels() * c.shape.keys(), side),
        v(pixels() * c.shape.values(), side) {
    std::mt19937 random(static_cast<unsigned>(c.shape.maps.height * 31 + c.shape.maps.width));
    std::normal_distribution<float> normal;
    for (Guarded<float>* map : {&q, &k, &v}) {
      for (std::size_t i = 0; i < map->size(); ++i) (*map)[i] = normal(random);
    }
    for (int i = 0; i < 4; ++i) {
      positions[i].emplace(c.learned[i] * c.shape.keys(), side);
      for (std::size_t j = 0; j < positions[i]->size(); ++j) (*positions[i])[j] = normal(random);
    }
  }
  int64_t pixels() const { return c.shape.maps.pixels(); }

  // Rows, then columns.
  std::vector<float> run(int64_t threads) const {
    const AxialHeadsShape& s = c.shape;
    const auto maps = [&](const Guarded<float>& map, int64_t channels) {
      return dense_maps(map.data(), s.maps, channels);
    };
    const auto learned = [&](int i) {
      return LearnedPositions{c.learned[i] == 0 ? nullptr : positions[i]->data(), c.learned[i]};
    };
    SqueezeAxialAttention args;
    args.shape = s;
    args.q = maps(q, s.keys());
    args.k = maps(k, s.keys());
    args.v = maps(v, s.values());
    args.row_q = learned(0);
    args.row_k = learned(1);
    args.column_q = learned(2);
    args.column_k = learned(3);
    Guarded<float> rows(s.maps.batch * s.maps.height * s.values(), side);
    Guarded<float> columns(s.maps.batch * s.maps.width * s.values(), side);
    Guarded<unsigned char> workspace(squeeze_axial_attention_workspace(args, threads),
                                     Against::kEnd);
    squeeze_axial_attention(args, rows.data(), columns.data(), workspace.data(),
                            test::Threads(threads));
    std::vector<float> result(rows.data(), rows.data() + rows.size());
    result.insert(result.end(), columns.data(), columns.data() + columns.size());
    return result;
  }

  // A learned position, resized to one of `length` with half-pixel centres.
  double position(int which, int64_t i, int64_t length, int64_t channel) const {
    const int64_t count = c.learned[which], keys = c.shape.keys();
    if (count == 0) return 0;
    const double source =
        std::max((i + 0.5) * static_cast<double>(count) / static_cast<double>(length) - 0.5, 0.0);
    const int64_t low = std::min<int64_t>(static_cast<int64_t>(source), count - 1);
    const int64_t high = std::min<int64_t>(low + 1, count - 1);
    const double weight = source - static_cast<double>(low);
    const float* p = positions[which]->data() + channel;
    return (1 - weight) * p[low * keys] + weight * p[high * keys];
  }

  Doubles expected() const {
    const AxialHeadsShape& s = c.shape;
    Doubles result;
    for (const bool rows : {true, false}) {
      const int64_t length = rows ? s.maps.height : s.maps.width,
                    other = rows ? s.maps.width : s.maps.height;
      for (int64_t image = 0; image < s.maps.batch; ++image) {
        const auto mean = [&](const Guarded<float>& map, int64_t channels, int64_t i, int64_t n) {
          double sum = 0;
          for (int64_t j = 0; j < other; ++j) {
            const int64_t y = rows ? i : j, x = rows ? j : i;
            sum += map[((image * s.maps.height + y) * s.maps.width + x) * channels + n];
          }
          return sum / static_cast<double>(other);
        };
        const int first = rows ? 0 : 2;
        for (int64_t i = 0; i < length; ++i) {
          for (int64_t head = 0; head < s.heads; ++head) {
            Doubles score(length);
            for (int64_t j = 0; j < length; ++j) {
              for (int64_t d = head * s.key_dim; d < (head + 1) * s.key_dim; ++d) {
                score[j] += (mean(q, s.keys(), i, d) + position(first, i, length, d)) *
                            (mean(k, s.keys(), j, d) + position(first + 1, j, length, d));
              }
              score[j] *= s.scale;
            }
            const double top = *std::max_element(score.begin(), score.end());
            double total = 0;
            for (double& x : score) total += x = std::exp(x - top);
            for (int64_t d = head * s.value_dim; d < (head + 1) * s.value_dim; ++d) {
              double sum = 0;
              for (int64_t j = 0; j < length; ++j) sum += score[j] * mean(v, s.values(), j, d);
              result.push_back(sum / total);
            }
          }
        }
      }
    }
    return result;
  }

  Case c;
  Against side;
  Guarded<float> q, k, v;
  std::optional<Guarded<float>> positions[4];
};

// Values are means of normal numbers, weighed by shares of 1: a few units of 2^-24 of each, and of
// the scores, which stay below 40, as much in relation to the shares.
constexpr double kBound = 2e-5;

void run_case(const Case& c) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    const Problem problem(c, side);
    const Doubles expected = problem.expected();
    test::on_every_isa([&] {
      const std::vector<float> one = problem.run(1);
      check(one.size() == expected.size(), "sizes differ");
      for (std::size_t i = 0; i < one.size(); ++i) {
        check(std::abs(one[i] - expected[i]) <= kBound * std::max(1.0, std::abs(expected[i])),
              c.shape.maps.height, "x", c.shape.maps.width, " element ", i, " is ", one[i],
              ", expected ", expected[i]);
      }
      for (int64_t threads : {2, 7}) {
        const std::vector<float> many = problem.run(threads);
        check(std::memcmp(many.data(), one.data(), one.size() * sizeof(float)) == 0, threads,
              " threads differ from one");
      }
    });
  }
}

}  // namespace

TEST(squeeze_axial_attention_sizes) {
  for (auto [height, width] : {std::pair{1, 1}, {1, 7}, {5, 1}, {8, 8}, {17, 6}, {3, 33}}) {
    run_case({{{1, height, width}, 2, 5, 9, 0.4f}, {16, 16, 16, 16}});
    run_case({{{2, height, width}, 3, 16, 16, 0.25f}, {1, 7, 0, 33}});
    run_case({{{3, height, width}, 1, 1, 1, 1.0f}, {0, 0, 0, 0}});
  }
}

TEST(squeeze_axial_attention_nan_spreads_in_its_image) {
  Problem problem({{{2, 3, 4}, 1, 4, 8, 0.5f}, {16, 16, 16, 16}}, Against::kEnd);
  problem.q[0] = problem.k[0] = problem.v[0] = std::nanf("");
  test::on_every_isa([&] {
    const std::vector<float> got = problem.run(1);
    const int rows = 3 * 8, columns = 4 * 8;
    for (int i = 0; i < 2 * rows; ++i) {
      check(i >= rows || i % 8 != 0 || std::isnan(got[i]), "a NaN was lost in row ", i);
      check(i < rows || !std::isnan(got[i]), "a NaN came to row ", i);
    }
    for (int i = 0; i < 2 * columns; ++i) {
      const float y = got[2 * rows + i];
      check(i >= columns || i % 8 != 0 || std::isnan(y), "a NaN was lost in column ", i);
      check(i < columns || !std::isnan(y), "a NaN came to column ", i);
    }
  });
}
