// Detail enhancement against its definition in float64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "blocks/detail_enhancement.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;

namespace {

struct Case {
  int64_t batch, height, width, channels, out;
  Activation activation = Activation::kRelu6;
  bool biases = true;
};

double activated(double x, Activation activation) {
  if (activation == Activation::kNone) return x;
  return std::clamp(x, 0.0, activation == Activation::kRelu6 ? 6.0 : INFINITY);
}

void run_case(const Case& c, Against side) {
  std::mt19937 random(static_cast<unsigned>(c.height * 31 + c.width * 7 + c.channels));
  std::normal_distribution<float> normal;
  const auto draw = [&](int64_t count) {
    auto values = std::make_unique<Guarded<float>>(count, side);
    for (int64_t i = 0; i < count; ++i) (*values)[i] = normal(random);
    return values;
  };
  const auto input = draw(c.batch * c.height * c.width * c.channels);
  const auto w1 = draw(c.channels * 9), b1 = draw(c.channels);
  const auto w2 = draw(c.out * c.channels), b2 = draw(c.out);
  DetailEnhancement args;
  args.shape = {c.batch, c.height, c.width};
  args.channels = c.channels;
  args.out_channels = c.out;
  args.activation = c.activation;
  args.depthwise = w1->data();
  args.pointwise = w2->data();
  if (c.biases) args.depthwise_bias = b1->data();
  if (c.biases) args.pointwise_bias = b2->data();
  const auto run = [&](int64_t threads) {
    Guarded<float> output(c.batch * c.height * c.width * c.out, side);
    Guarded<unsigned char> workspace(align_up(detail_enhancement_workspace(args, threads)),
                                     Against::kEnd);
    detail_enhancement(args, input->data(), output.data(), workspace.data(),
                       test::Threads(threads));
    return std::vector<float>(output.data(), output.data() + output.size());
  };

  std::vector<double> value, magnitude;
  for (int64_t pixel = 0; pixel < c.batch * c.height * c.width; ++pixel) {
    const int64_t x = pixel % c.width, y = pixel / c.width % c.height;
    std::vector<double> mid(c.channels), mid_magnitude(c.channels);
    for (int64_t n = 0; n < c.channels; ++n) {
      double sum = c.biases ? (*b1)[n] : 0, total = std::abs(sum);
      for (int64_t i = -1; i <= 1; ++i) {
        for (int64_t j = -1; j <= 1; ++j) {
          if (y + i < 0 || y + i >= c.height || x + j < 0 || x + j >= c.width) continue;
          const double term = double{(*input)[(pixel + i * c.width + j) * c.channels + n]} *
                              (*w1)[n * 9 + (i + 1) * 3 + j + 1];
          sum += term, total += std::abs(term);
        }
      }
      mid[n] = activated(sum, c.activation), mid_magnitude[n] = total;
    }
    for (int64_t o = 0; o < c.out; ++o) {
      double sum = c.biases ? (*b2)[o] : 0, total = std::abs(sum);
      for (int64_t n = 0; n < c.channels; ++n) {
        sum += mid[n] * (*w2)[o * c.channels + n];
        total += mid_magnitude[n] * std::abs((*w2)[o * c.channels + n]);
      }
      value.push_back(sum), magnitude.push_back(total);
    }
  }
  // Two sums one after the other, of 10 and of channels + 1 terms: as many halves of an eps.
  const double bound = static_cast<double>(c.channels + 12) * 0x1p-24;
  test::on_every_isa([&] {
    const std::vector<float> one = run(1);
    for (std::size_t i = 0; i < one.size(); ++i) {
      check(std::abs(one[i] - value[i]) <= bound * magnitude[i] + 1e-30, c.batch, "x", c.height,
            "x", c.width, "x", c.channels, " element ", i, " is ", one[i], ", expected ", value[i]);
    }
    for (int64_t threads : {2, 5}) {
      const std::vector<float> many = run(threads);
      check(std::memcmp(many.data(), one.data(), one.size() * sizeof(float)) == 0, threads,
            " threads differ from one");
    }
  });
}

}  // namespace

TEST(detail_enhancement_sizes) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    for (auto [height, width] : {std::pair{1, 1}, {1, 7}, {5, 1}, {2, 2}, {8, 9}, {3, 33}}) {
      run_case({1, height, width, 24, 17}, side);
      run_case({2, height, width, 5, 16, Activation::kNone, false}, side);
      run_case({1, height, width, 64, 3, Activation::kRelu}, side);
    }
    run_case({1, 6, 7, 1, 1}, side);
    run_case({1, 4, 5, 130, 33, Activation::kRelu6, false}, side);
  }
}
