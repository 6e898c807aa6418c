// The transforms of Winograd's convolution against their definition in float64.
#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/winograd/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;

namespace {

constexpr double kB[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
constexpr double kA[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};

// Element [i][j] of matrix * x * matrix^T, and of its terms' magnitudes, of 4x4 numbers x(k).
template <class X>
void check_product(const double (*matrix)[4], int i, int j, const X& x, float got) {
  double sum = 0, magnitude = 0;
  for (int k = 0; k < 16; ++k) {
    const double term = matrix[i][k / 4] * matrix[j][k % 4] * x(k);
    sum += term;
    magnitude += std::abs(term);
  }
  check(std::abs(got - sum) <= 8 * 0x1p-24 * magnitude, "got ", got, ", expected ", sum);
}

template <class Body>
void on_sizes(const Body& body) {
  test::on_every_variant(kWinogradVariants, [&](const WinogradKernel& kernel) {
    for (const int64_t channels : {1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33}) {
      for (const Against side : {Against::kStart, Against::kEnd}) body(kernel, channels, side);
    }
  });
}

void fill(Guarded<float>& array) {
  std::mt19937 random(static_cast<unsigned>(array.size()));
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < array.size(); ++i) array[i] = normal(random);
}

}  // namespace

TEST(winograd_input) {
  on_sizes([](const WinogradKernel& kernel, int64_t channels, Against side) {
    std::deque<Guarded<float>> pixels;
    const int64_t stride = channels + 2;
    Guarded<float> output(15 * stride + channels, side);
    std::fill_n(output.data(), output.size(), 99.0f);
    WinogradInput args;
    for (int k = 0; k < kWinogradProducts; ++k) {
      pixels.emplace_back(channels, side);
      fill(pixels[k]);
      pixels[k][0] += static_cast<float>(k);
      args.patch[k] = pixels[k].data();
    }
    args.output = output.data();
    args.stride = stride;
    args.channels = channels;
    kernel.input(args);
    for (int64_t c = 0; c < channels; ++c) {
      for (int k = 0; k < kWinogradProducts; ++k) {
        check_product(
            kB, k / 4, k % 4, [&](int from) { return pixels[from][c]; }, output[k * stride + c]);
      }
    }
    for (int k = 0; k + 1 < kWinogradProducts; ++k) {
      check(output[k * stride + channels] == 99.0f, "wrote behind product ", k);
    }
  });
}

TEST(winograd_output) {
  on_sizes([](const WinogradKernel& kernel, int64_t channels, Against side) {
    const int64_t stride = channels + 3;
    Guarded<float> products(15 * stride + channels, side);
    fill(products);
    std::deque<Guarded<float>> square;
    WinogradOutput args;
    for (float*& pixel : args.square) pixel = square.emplace_back(channels, side).data();
    args.products = products.data();
    args.stride = stride;
    args.channels = channels;
    kernel.output(args);
    for (int64_t c = 0; c < channels; ++c) {
      for (int k = 0; k < 4; ++k) {
        check_product(
            kA, k / 2, k % 2, [&](int from) { return products[from * stride + c]; }, square[k][c]);
      }
    }
    // Clamped, and NaN stays.
    products[5 * stride] = NAN;
    const std::vector<float> whole(square[1].data(), square[1].data() + channels);
    args.bounds = bounds_of(Activation::kRelu6);
    kernel.output(args);
    check(std::isnan(square[1][0]), "a NaN became ", square[1][0]);
    for (int64_t c = 1; c < channels; ++c) {
      const float wanted = std::clamp(whole[c], 0.0f, 6.0f);
      check(square[1][c] == wanted, "got ", square[1][c], ", expected ", wanted);
    }
  });
}
