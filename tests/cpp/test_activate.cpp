// The activation micro-kernels against their definitions in float64.
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "activated.h"
#include "check.h"
#include "guarded.h"
#include "kernels/activate/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;
using test::storage_error;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Some roundings of the terms, of which x and what is added to it are, too.
double bound(Element element, double x, double expected, double residual) {
  const double sum = 6 * 0x1p-24 * (std::abs(x) + std::abs(residual) + 1) + 1e-37;
  return sum + storage_error(element, std::abs(expected) + sum);
}

template <class T>
void run_case(const ActivateKernel& kernel, Activation activation, int64_t count, int64_t channels,
              int64_t gap, bool adds, Against side) {
  std::mt19937 random(static_cast<unsigned>(count * 31 + channels * 7 + gap));
  std::normal_distribution<float> normal;
  const int64_t step = channels + gap;
  Guarded<T> pixels((count - 1) * step + channels, side), residual(pixels.size(), side);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = from_float<T>(4 * normal(random));
    residual[i] = from_float<T>(normal(random));
  }
  const std::vector<T> given(pixels.data(), pixels.data() + pixels.size());
  Activate args;
  args.pixels = {pixels.data(), step};
  if (adds) args.residual = {residual.data(), step};
  args.count = count;
  args.channels = channels;
  args.activation = activation;
  kernel.run(args);

  for (int64_t i = 0; i < static_cast<int64_t>(given.size()); ++i) {
    const float x = to_float(given[i]), got = to_float(pixels[i]);
    if (i % step >= channels) {
      check(got == x, "wrote between pixels, at ", i);
      continue;
    }
    const double added = adds ? to_float(residual[i]) : 0;
    const double expected = test::activated(x, activation) + added;
    const double within = bound(kernel.element, x, expected, added);
    check(std::abs(got - expected) <= within, "activation ", static_cast<int>(activation), " of ",
          x, " is ", got, ", expected ", expected, " within ", within);
  }
}

// What a kernel makes of one number.
float activated(const ActivateKernel& kernel, Activation activation, float x) {
  float result = 0;
  with_zero_of(kernel.element, [&](auto zero) {
    using T = decltype(zero);
    T pixel = from_float<T>(x);
    Activate args;
    args.pixels = {&pixel, 1};
    args.count = args.channels = 1;
    args.activation = activation;
    kernel.run(args);
    result = to_float(pixel);
  });
  return result;
}

}  // namespace

TEST(activate_sizes) {
  on_every_variant(kActivateVariants, [](const ActivateKernel& kernel) {
    with_zero_of(kernel.element, [&](auto zero) {
      for (Activation activation : test::kActivations) {
        for (int64_t count : {1, 3}) {
          for (int64_t channels : {int64_t{1}, int64_t{2}, int64_t{3}, kernel.lanes,
                                   kernel.lanes + 1, 4 * kernel.lanes - 1, 9 * kernel.lanes + 5}) {
            for (int64_t gap : {0, 5}) {
              for (bool adds : {false, true}) {
                for (Against side : {Against::kStart, Against::kEnd}) {
                  run_case<decltype(zero)>(kernel, activation, count, channels, gap, adds, side);
                }
              }
            }
          }
        }
      }
    });
  });
}

// Every 2^16th float32: all of bfloat16.
TEST(activate_numbers_of_every_size) {
  on_every_variant(kActivateVariants, [](const ActivateKernel& kernel) {
    for (Activation activation : test::kActivations) {
      for (uint32_t bits = 0; bits < 1 << 16; bits += 3) {
        const float given = to_float(BFloat16{static_cast<uint16_t>(bits)});
        if (!std::isfinite(given) || std::abs(given) > 60000) continue;
        const float x = kernel.element == Element::kF16 ? to_float(to_half(given)) : given;
        const double expected = test::activated(x, activation);
        const float got = activated(kernel, activation, x);
        const double within = bound(kernel.element, x, expected, 0);
        check(std::abs(got - expected) <= within, "activation ", static_cast<int>(activation),
              " of ", x, " is ", got, ", expected ", expected, " within ", within);
      }
    }
  });
}

// Small results have few wrong digits, too: some units of the exponential and of what is made of
// it, and where multiply-adds are not fused some of a product with x.
TEST(activate_tails_of_sigmoids) {
  on_every_variant(kActivateVariants, [](const ActivateKernel& kernel) {
    if (kernel.element != Element::kF32) return;
    for (Activation activation : {Activation::kSilu, Activation::kSigmoid}) {
      for (float x = -20; x <= 20; x += 0.0137f) {
        const double expected = test::activated(x, activation);
        const float got = activated(kernel, activation, x);
        check(std::abs(got - expected) <= (6 + std::abs(x) / 2) * 0x1p-23 * std::abs(expected),
              "activation ", static_cast<int>(activation), " of ", x, " is ", got, ", expected ",
              expected);
      }
    }
  });
}

TEST(activate_special_values) {
  on_every_variant(kActivateVariants, [](const ActivateKernel& kernel) {
    for (Activation activation : test::kActivations) {
      const int code = static_cast<int>(activation);
      const auto of = [&](float x) { return activated(kernel, activation, x); };
      check(std::isnan(of(kNaN)), "activation ", code, " of NaN is ", of(kNaN));
      // As PyTorch has them: minus infinity times 0 is no number.
      const bool gates = activation == Activation::kHardSwish || activation == Activation::kSilu ||
                         activation == Activation::kGelu || activation == Activation::kGeluTanh;
      const bool saturates =
          activation == Activation::kHardSigmoid || activation == Activation::kSigmoid;
      const float most = activation == Activation::kRelu6 ? 6 : saturates ? 1 : kInfinity;
      check(of(kInfinity) == most, "activation ", code, " of infinity is ", of(kInfinity));
      const float least = of(-kInfinity);
      if (gates) {
        check(std::isnan(least), "activation ", code, " of minus infinity is ", least);
      } else {
        const bool passes = activation == Activation::kNone || test::is_leaky(activation);
        check(least == (passes ? -kInfinity : 0), "activation ", code, " of minus infinity is ",
              least);
      }
    }
  });
}
