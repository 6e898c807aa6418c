// Dense convolutions against their definition in float64.
#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "blocks/convolution.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "packed_buffer.h"
#include "terms.h"
#include "threads.h"
#include "window_cases.h"

using namespace seaformer;
using namespace seaformer::test;

namespace {

struct Case {
  MapShape shape;
  int in, out;
  WindowCase window;
  Activation activation = Activation::kNone;
  bool by_winograd = false;
};

// Appends G w G^T of each 3x3 filter [out][3][3][in], product by product.
void append_transformed(const std::vector<float>& weight, const std::vector<float>& bias, int in,
                        PackedBuffer& buffer) {
  constexpr double kG[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  const auto out = static_cast<int>(bias.size());
  for (int product = 0; product < 16; ++product) {
    std::vector<float> matrix(weight.size() / 9);
    for (int n = 0; n < out; ++n) {
      for (int k = 0; k < in; ++k) {
        double sum = 0;
        for (int tap = 0; tap < 9; ++tap) {
          sum +=
              kG[product / 4][tap / 3] * kG[product % 4][tap % 3] * weight[(n * 9 + tap) * in + k];
        }
        matrix[n * in + k] = static_cast<float>(sum);
      }
    }
    buffer.append_pointwise(matrix, product == 5 ? bias : std::vector<float>(out));
  }
}

std::vector<Term> convolved(const Case& c, const Guarded<float>& input,
                            const std::vector<float>& weight, const std::vector<float>& bias) {
  const WindowCase& w = c.window;
  const int64_t height = window_outputs(w, c.shape.height, w.rows, w.row_padding);
  const int64_t width = window_outputs(w, c.shape.width, w.columns, w.column_padding);
  const int64_t taps = w.rows * w.columns, row = w.columns * c.in;
  std::vector<Term> all;
  for (int64_t p = 0; p < c.shape.batch * height * width; ++p) {
    const int64_t image = p / width / height, y = p / width % height, x = p % width;
    const auto tap = [&](int64_t k) {
      const int64_t r = window_input(w, c.shape.height, w.rows, w.row_padding, y, k / row);
      const int64_t s =
          window_input(w, c.shape.width, w.columns, w.column_padding, x, k % row / c.in);
      if (r < 0 || s < 0 || r >= c.shape.height || s >= c.shape.width) return Term{};
      const double v = input[((image * c.shape.height + r) * c.shape.width + s) * c.in + k % c.in];
      return Term{v, std::abs(v)};
    };
    for (int n = 0; n < c.out; ++n) {
      Term sum = dot(taps * c.in, tap, &weight[n * taps * c.in], bias[n]);
      if (c.activation != Activation::kNone) sum.value = std::max(sum.value, 0.0);
      all.push_back(sum);
    }
  }
  return all;
}

void run_case(const Case& c) {
  const std::string name = std::to_string(c.shape.batch) + "x" + std::to_string(c.shape.height) +
                           "x" + std::to_string(c.shape.width) + " " + std::to_string(c.in) +
                           " to " + std::to_string(c.out) + " " + describe(c.window) + ": ";
  for (const Against side : {Against::kStart, Against::kEnd}) {
    std::mt19937 random(static_cast<unsigned>(c.shape.pixels() + c.in));
    std::normal_distribution<float> normal;
    const int64_t taps = c.window.rows * c.window.columns * c.in;
    Guarded<float> input(c.shape.pixels() * c.in, side);
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = normal(random);
    std::vector<float> weight(taps * c.out), bias(c.out);
    for (float& x : weight) x = normal(random) / std::sqrt(static_cast<float>(taps));
    for (float& x : bias) x = normal(random);
    PackedHeader header = window_header(PackedKind::kConvolution, c.window, c.in, c.out);
    header.expand_activation = static_cast<int32_t>(c.activation);
    if (c.by_winograd) header.flags |= kPackedByWinograd;
    PackedBuffer buffer(header);
    if (c.by_winograd) {
      append_transformed(weight, bias, c.in, buffer);
    } else {
      buffer.append_pointwise(weight, bias);
    }
    const PackedHeader& packed = buffer.place(side);
    const std::vector<Term> expected = convolved(c, input, weight, bias);
    check(window_of(packed).out(c.shape).pixels() * c.out == static_cast<int64_t>(expected.size()),
          name, "has ", window_of(packed).out(c.shape).pixels(), " pixels");
    check_terms(name, expected, static_cast<double>(taps + 8), [&](int64_t threads) {
      Guarded<float> output(expected.size(), side);
      Guarded<unsigned char> workspace(convolution_workspace(c.shape, packed, threads),
                                       Against::kEnd);
      convolution(c.shape, packed, input.data(), output.data(), workspace.data(), Threads(threads));
      return std::vector<float>(output.data(), output.data() + output.size());
    });
  }
}

}  // namespace

TEST(convolution_windows) {
  for (const MapShape& shape : {MapShape{1, 1, 1}, {2, 3, 5}, {1, 9, 8}, {1, 7, 33}}) {
    for (const WindowCase& window : {
             WindowCase{3, 3, 1, 1, 1},
             {3, 3, 2, 1, 1},
             {1, 1, 1, 0, 0},
             {1, 1, 2, 0, 0},
             {1, 1, 3, 1, 1},
             {7, 7, 2, 3, 3},
             {1, 7, 1, 0, 3},
             {5, 1, 4, 2, 0},
             {2, 4, 1, 1, 2},
             {3, 3, 1, 4, 4, 4},
             {3, 2, 2, 5, 4, 3},
             {3, 3, 1, 3, 3},  // windows on padding only
             {3, 3, 1, 0, 0, 1, true},
             {3, 3, 2, 0, 0, 1, true},
             {4, 5, 3, 0, 0, 2, true},
             {1, 1, 4, 0, 0, 1, true},
         }) {
      for (const auto& [in, out] : {std::pair{3, 16}, {5, 7}, {8, 33}}) {
        run_case({shape, in, out, window, Activation::kRelu});
      }
    }
  }
}

// Numbers of pixels around the grain, and patches of which more or fewer are gathered at once.
TEST(convolution_sizes_around_the_grain) {
  for (const int64_t width : {1, 23, 24, 25, 47, 49, 97}) {
    for (const int in : {1, 19, 80}) run_case({{1, 3, width}, in, 4, {3, 3, 1, 1, 1}});
  }
  run_case({{1, 5, 6}, 300, 5, {3, 3, 1, 1, 1}});
}

TEST(convolution_without_padding) {
  for (const auto& [rows, columns] : {std::pair{3, 3}, {1, 2}, {7, 4}}) {
    const WindowCase window{rows, columns};
    run_case({{1, rows, columns}, 4, 5, window});
    run_case({{2, rows + 1, columns + 3}, 4, 5, window});
  }
}

// Squares of 2x2 outputs around the grain and the chunk, whole ones and such at the edges.
TEST(convolution_by_winograd) {
  for (const MapShape& shape :
       {MapShape{1, 1, 1}, {2, 3, 5}, {1, 2, 24}, {1, 4, 25}, {1, 14, 15}}) {
    for (const WindowCase& window :
         {WindowCase{3, 3, 1, 1, 1}, {3, 3, 1, 3, 2}, {3, 3, 1, 0, 0, 1, true}}) {
      for (const auto& [in, out] : {std::pair{1, 1}, {8, 16}, {19, 33}}) {
        run_case({shape, in, out, window, Activation::kRelu, true});
      }
    }
  }
  run_case({{1, 3, 4}, 5, 6, {}, Activation::kNone, true});
}

TEST(convolution_by_winograd_fits_no_other_window) {
  for (const WindowCase& window :
       {WindowCase{3, 3, 2, 1, 1}, {3, 1, 1, 1, 0}, {5, 5, 1, 2, 2}, {3, 3, 1, 2, 2, 2}}) {
    PackedHeader header = window_header(PackedKind::kConvolution, window, 1, 1);
    header.flags |= kPackedByWinograd;
    PackedBuffer buffer(header);
    for (int i = 0; i < 16; ++i) buffer.append_pointwise({1}, {0});
    bool refused = false;
    try {
      buffer.place(Against::kEnd);
    } catch (const std::invalid_argument& error) {
      refused = std::string(error.what()).find("Winograd") != std::string::npos;
    }
    check(refused, describe(window), " was taken");
  }
}
