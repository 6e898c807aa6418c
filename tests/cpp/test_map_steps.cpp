// The blocks without weights against their definitions, for every element type.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "blocks/block_kind.h"
#include "blocks/convert_elements.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "random_elements.h"
#include "threads.h"
#include "window_cases.h"

using namespace seaformer;
using namespace seaformer::test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Case {
  PackedHeader header{};
  MapShape input, coarse{};
};

// Numbers of a map, [batch][height][width][channels]; 0 outside of it.
struct Map {
  Map(const MapShape& shape, int64_t channels, unsigned seed)
      : shape(shape), channels(channels), values(shape.pixels() * channels) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (float& x : values) x = in_every_type(normal(random));
  }
  bool has(int64_t y, int64_t x) const {
    return y >= 0 && x >= 0 && y < shape.height && x < shape.width;
  }
  double at(int64_t b, int64_t y, int64_t x, int64_t c) const {
    return has(y, x) ? values[((b * shape.height + y) * shape.width + x) * channels + c] : 0;
  }
  MapShape shape;
  int64_t channels;
  std::vector<float> values;
};

// The value of an output, of both maps.
using Expected =
    std::function<double(const Map&, const Map&, int64_t b, int64_t y, int64_t x, int64_t c)>;

PackedHeader header(PackedKind kind, int32_t in, int32_t hidden, int32_t out) {
  PackedHeader h{};
  h.kind = static_cast<int32_t>(kind);
  h.in_channels = in, h.hidden_channels = hidden, h.out_channels = out;
  return h;
}

// Errors of `roundings` units in the last place of the greatest value of float32, and some of what
// is stored.
void run_case(const std::string& name, const Case& c, double roundings, const Expected& expected) {
  const Map input(c.input, c.header.in_channels, 3);
  const Map coarse(c.coarse, c.coarse.batch > 0 ? c.header.hidden_channels : 0, 4);
  for (const Element element : kElements) {
    PackedHeader h = c.header;
    h.element = static_cast<int32_t>(element);
    if (element != Element::kF32) h.version = kTypedPackedVersion;
    const PackedHeader& weights =
        checked_header("test", static_cast<PackedKind>(h.kind), &h, sizeof h);
    const BlockKind& kind = kind_of(weights);
    const MapSize in{c.input, input.channels}, other{c.coarse, coarse.channels};
    check(kind.fits(weights, in, other), name, "does not fit");
    const BlockCall call{weights, false, in, other};
    const MapSize size = kind.output_size(weights, in, other);
    const double eps = element == Element::kF32 ? 0 : element == Element::kF16 ? 0x1p-11 : 0x1p-8;
    for (const Against side : {Against::kStart, Against::kEnd}) {
      Guarded<unsigned char> first(input.values.size() * bytes_of(element), side);
      Guarded<unsigned char> second(coarse.values.size() * bytes_of(element), side);
      for (std::size_t i = 0; i < input.values.size(); ++i) {
        put(element, input.values[i], static_cast<int64_t>(i), first.data());
      }
      for (std::size_t i = 0; i < coarse.values.size(); ++i) {
        put(element, coarse.values[i], static_cast<int64_t>(i), second.data());
      }
      const auto run = [&](int64_t threads) {
        Guarded<unsigned char> output(size.elements() * bytes_of(element), side);
        Guarded<unsigned char> workspace(align_up(kind.workspace(call, threads)), Against::kEnd);
        kind.run(
            call,
            {StemImages{}, first.data(), second.data(), output.data(), nullptr, workspace.data()},
            Threads(threads));
        std::vector<float> floats(size.elements());
        convert_elements(size.elements(), {element}, output.data(), {}, floats.data(),
                         Sequential());
        return floats;
      };
      on_every_isa([&] {
        const std::vector<float> got = run(1);
        for (std::size_t i = 0; i < got.size(); ++i) {
          const auto at = static_cast<int64_t>(i);
          const int64_t pixel = at / size.channels;
          const double want =
              expected(input, coarse, pixel / size.width / size.height,
                       pixel / size.width % size.height, pixel % size.width, at % size.channels);
          const double bound = roundings * 0x1p-24 * 8 + 4 * eps * (std::abs(want) + 2);
          check(std::abs(got[i] - want) <= bound, name, element_name(element), " element ", i,
                " is ", got[i], ", expected ", want, " within ", bound);
        }
        for (const int64_t threads : {2, 5}) {
          check(run(threads) == got, name, threads, " threads differ from one");
        }
      });
    }
  }
}

const MapShape kShapes[] = {{1, 1, 1}, {2, 3, 5}, {1, 9, 27}, {2, 17, 70}};

}  // namespace

TEST(map_steps_of_two_maps) {
  for (const MapShape& shape : kShapes) {
    for (const int32_t channels : {1, 16, 37}) {
      const int32_t more = channels + 3;
      run_case("sum: ", {header(PackedKind::kAdd, channels, channels, channels), shape, shape}, 1,
               [](const Map& a, const Map& b, int64_t n, int64_t y, int64_t x, int64_t c) {
                 return a.at(n, y, x, c) + b.at(n, y, x, c);
               });
      Case rectified{header(PackedKind::kAdd, channels, channels, channels), shape, shape};
      rectified.header.expand_activation = static_cast<int32_t>(Activation::kRelu);
      run_case("rectified sum: ", rectified, 1,
               [](const Map& a, const Map& b, int64_t n, int64_t y, int64_t x, int64_t c) {
                 return std::max(a.at(n, y, x, c) + b.at(n, y, x, c), 0.0);
               });
      run_case(
          "product: ",
          {header(PackedKind::kScale, channels, channels, channels), shape, {shape.batch, 1, 1}}, 1,
          [](const Map& a, const Map& b, int64_t n, int64_t y, int64_t x, int64_t c) {
            return a.at(n, y, x, c) * b.at(n, 0, 0, c);
          });
      run_case("sum of one resized by nothing: ",
               {header(PackedKind::kResizeAdd, channels, channels, channels), shape, shape}, 1,
               [](const Map& a, const Map& b, int64_t n, int64_t y, int64_t x, int64_t c) {
                 return a.at(n, y, x, c) + b.at(n, y, x, c);
               });
      run_case("some: ", {header(PackedKind::kSlice, more, 2, channels), shape}, 0,
               [](const Map& a, const Map&, int64_t n, int64_t y, int64_t x, int64_t c) {
                 return a.at(n, y, x, c + 2);
               });
      run_case(
          "both: ", {header(PackedKind::kConcat, channels, more, channels + more), shape, shape}, 0,
          [](const Map& a, const Map& b, int64_t n, int64_t y, int64_t x, int64_t c) {
            return c < a.channels ? a.at(n, y, x, c) : b.at(n, y, x, c - a.channels);
          });
    }
  }
}

TEST(map_steps_that_pool) {
  for (const MapShape& shape : kShapes) {
    for (const int32_t channels : {1, 19}) {
      run_case("mean: ", {header(PackedKind::kGlobalPool, channels, 0, channels), shape},
               2.0 * static_cast<double>(shape.height + shape.width),
               [](const Map& a, const Map&, int64_t n, int64_t, int64_t, int64_t c) {
                 double sum = 0;
                 for (int64_t y = 0; y < a.shape.height; ++y) {
                   for (int64_t x = 0; x < a.shape.width; ++x) sum += a.at(n, y, x, c);
                 }
                 return sum / static_cast<double>(a.shape.height * a.shape.width);
               });
      for (const int32_t stride : {1, 2, 3}) {
        for (const auto& [height, width] : {std::pair{1, 1}, {5, 4}, {9, 31}}) {
          Case c{header(PackedKind::kAdaptivePool, channels, 2, channels),
                 shape,
                 {shape.batch, height, width}};
          c.header.stride = stride;
          const int64_t rows = (height - 1) / stride + 1, columns = (width - 1) / stride + 1;
          run_case("means of parts: ", c, 2.0 * static_cast<double>(shape.height + shape.width),
                   [=](const Map& a, const Map&, int64_t n, int64_t y, int64_t x, int64_t ch) {
                     const int64_t top = y * shape.height / rows, left = x * shape.width / columns;
                     double sum = 0, count = 0;
                     for (int64_t r = top; r * rows < (y + 1) * shape.height; ++r) {
                       for (int64_t s = left; s * columns < (x + 1) * shape.width; ++s) {
                         sum += a.at(n, r, s, ch), ++count;
                       }
                     }
                     return sum / count;
                   });
        }
      }
      for (const WindowCase& w : {WindowCase{3, 3, 2, 1, 1},
                                  {2, 2, 2, 1, 1},
                                  {2, 3, 1, 0, 0, 1, true},
                                  {5, 3, 3, 2, 1},
                                  {3, 3, 1, 2, 2, 2}}) {
        for (const int32_t flags : {0, +kPackedAverages, kPackedAverages | kPackedCountsPadding}) {
          if (flags != 0 && w.dilation > 1) continue;
          Case c{window_header(PackedKind::kPool, w, channels, channels), shape};
          c.header.flags |= flags;
          if (window_outputs(w, shape.height, w.rows, w.row_padding) < 1) continue;
          if (window_outputs(w, shape.width, w.columns, w.column_padding) < 1) continue;
          run_case(describe(w) + ": ", c, w.rows * w.columns,
                   [&](const Map& a, const Map&, int64_t n, int64_t y, int64_t x, int64_t ch) {
                     double sum = 0, greatest = -kInf, taps = 0;
                     for (int64_t k = 0; k < w.rows * w.columns; ++k) {
                       const int64_t r =
                           window_input(w, a.shape.height, w.rows, w.row_padding, y, k / w.columns);
                       const int64_t s = window_input(w, a.shape.width, w.columns, w.column_padding,
                                                      x, k % w.columns);
                       if (!a.has(r, s)) continue;
                       const double v = a.at(n, r, s, ch);
                       sum += v, ++taps, greatest = std::max(greatest, v);
                     }
                     if (flags == 0) return greatest;
                     return sum / (flags == kPackedAverages ? taps : w.rows * w.columns);
                   });
        }
      }
    }
  }
}

TEST(map_steps_that_resize) {
  const auto resized = [](int32_t mode, const MapShape& to) {
    return [=](const Map& a, const Map&, int64_t n, int64_t y, int64_t x, int64_t c) {
      const auto source = [&](int64_t i, int64_t in, int64_t out) {
        if (mode == 1) return out > 1 ? double(i) * double(in - 1) / double(out - 1) : 0.0;
        const double scale = double(in) / double(out);
        // PyTorch calculates with a scale of float32, too.
        if (mode == 2) return double(std::floor(float(i) * (float(in) / float(out))));
        return std::max((double(i) + 0.5) * scale - 0.5, 0.0);
      };
      const double row = source(y, a.shape.height, to.height);
      const double column = source(x, a.shape.width, to.width);
      const auto y0 = std::min(static_cast<int64_t>(row), a.shape.height - 1);
      const auto x0 = std::min(static_cast<int64_t>(column), a.shape.width - 1);
      if (mode == 2) return a.at(n, y0, x0, c);
      const int64_t y1 = std::min(y0 + 1, a.shape.height - 1);
      const int64_t x1 = std::min(x0 + 1, a.shape.width - 1);
      const double v = row - double(y0), h = column - double(x0);
      return (1 - v) * ((1 - h) * a.at(n, y0, x0, c) + h * a.at(n, y0, x1, c)) +
             v * ((1 - h) * a.at(n, y1, x0, c) + h * a.at(n, y1, x1, c));
    };
  };
  for (const MapShape& shape : kShapes) {
    for (const int32_t mode : {0, 1, 2}) {
      const double roundings = mode == 2 ? 0 : 4.0 * double(shape.height + shape.width) + 300;
      for (const auto& [height, width] : {std::pair{1, 1}, {3, 5}, {7, 11}, {40, 33}, {17, 140}}) {
        const MapShape to{shape.batch, height, width};
        Case c{header(PackedKind::kResize, 19, 2, 19), shape, to};
        c.header.heads = mode;
        const std::string name = "mode " + std::to_string(mode) + " to " + std::to_string(height) +
                                 "x" + std::to_string(width) + ": ";
        const Expected alone = resized(mode, to);
        run_case(name, c, roundings, alone);
        c.header = header(PackedKind::kResizeAdd, 19, 19, 19);
        c.header.heads = mode;
        run_case(name + "added: ", c, roundings + 1,
                 [&](const Map& a, const Map& b, int64_t n, int64_t y, int64_t x, int64_t ch) {
                   return alone(a, b, n, y, x, ch) + b.at(n, y, x, ch);
                 });
      }
      for (const int32_t times : {1, 2, 3}) {
        Case c{header(PackedKind::kUpsample, 7, 0, 7), shape};
        c.header.heads = mode, c.header.stride = times;
        run_case("mode " + std::to_string(mode) + " times " + std::to_string(times) + ": ", c,
                 roundings,
                 resized(mode, {shape.batch, times * shape.height, times * shape.width}));
      }
    }
  }
}

TEST(map_steps_that_attend) {
  for (const MapShape& shape : {MapShape{1, 1, 1}, {2, 3, 5}, {1, 4, 8}, {1, 3, 11}, {1, 8, 8}}) {
    for (const auto& [heads, keys, values] : {std::tuple{1, 1, 1}, {2, 3, 5}, {3, 16, 33}}) {
      for (const Activation activation : {Activation::kNone, Activation::kRelu}) {
        const int32_t all = heads * (2 * keys + values), out = heads * values;
        Case c{header(PackedKind::kAttention, all, 0, out), shape};
        c.header.heads = heads, c.header.key_dim = keys;
        c.header.expand_activation = static_cast<int32_t>(activation);
        run_case("attention: ", c, 64,
                 [=, heads = heads, keys = keys, values = values](
                     const Map& a, const Map&, int64_t n, int64_t y, int64_t x, int64_t ch) {
                   const int64_t head = ch / values;
                   double sum = 0, total = 0;
                   for (int64_t p = 0; p < shape.height * shape.width; ++p) {
                     const int64_t r = p / shape.width, s = p % shape.width;
                     double score = 0;
                     for (int64_t d = 0; d < keys; ++d) {
                       score += a.at(n, y, x, head * keys + d) *
                                a.at(n, r, s, (heads + head) * keys + d);
                     }
                     const double weight = std::exp(score / std::sqrt(double(keys)));
                     total += weight;
                     sum += weight * a.at(n, r, s, 2 * heads * keys + ch);
                   }
                   const double mean = sum / total;
                   return activation == Activation::kRelu ? std::max(mean, 0.0) : mean;
                 });
      }
    }
  }
}

TEST(map_steps_keep_nan_and_infinities) {
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  const auto inf = std::numeric_limits<float>::infinity();
  on_every_isa([&] {
    const auto run = [](const PackedHeader& h, const MapSize& in, std::vector<float> first,
                        const MapSize& other, std::vector<float> second) {
      const BlockKind& kind = kind_of(h);
      const BlockCall call{h, false, in, other};
      std::vector<float> output(kind.output_size(h, in, other).elements());
      const Workspace workspace(kind.workspace(call, 1) + 1);
      kind.run(
          call,
          {StemImages{}, first.data(), second.data(), output.data(), nullptr, workspace.data()},
          Sequential());
      return output;
    };
    const MapSize two{{1, 1, 2}, 1}, one{{1, 1, 1}, 1};
    const auto scaled = run(header(PackedKind::kScale, 1, 1, 1), two, {2, nan}, one, {inf});
    check(scaled[0] == inf && std::isnan(scaled[1]), "scaled to ", scaled[0], ", ", scaled[1]);
    const auto greatest =
        run(window_header(PackedKind::kPool, {1, 2}, 1, 1), two, {nan, 1}, {}, {});
    check(std::isnan(greatest[0]), "the greatest is ", greatest[0]);
    const auto same = run(header(PackedKind::kResize, 1, 1, 1), two, {inf, 1}, two, {0, 0});
    check(same[0] == inf && same[1] == 1, "the same size makes ", same[0], ", ", same[1]);
  });
}
