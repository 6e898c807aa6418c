// The depthwise micro-kernels against a float64 sum.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/depthwise/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;
using test::storage_error;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Case {
  int kernel_size, stride;
  int64_t width, channels;
  Activation activation = Activation::kRelu;
  bool bias = true;
  int64_t gap = 0;  // floats between pixels
};

template <class T>
void run_typed(const DepthwiseKernel& kernel, const Case& c, Against side) {
  std::mt19937 random(static_cast<unsigned>(c.width * 31 + c.channels * 7 + c.kernel_size));
  std::normal_distribution<float> normal;
  const int64_t pixels = (c.width - 1) * c.stride + c.kernel_size, step = c.channels + c.gap;
  const int taps = c.kernel_size * c.kernel_size;
  const auto fill = [&](Guarded<T>& array) {
    for (std::size_t i = 0; i < array.size(); ++i) array[i] = from_float<T>(normal(random));
  };
  const auto fill_floats = [&](Guarded<float>& array) {  // with numbers that the type has
    for (std::size_t i = 0; i < array.size(); ++i) {
      array[i] = to_float(from_float<T>(normal(random)));
    }
  };
  std::vector<std::unique_ptr<Guarded<T>>> rows;
  std::vector<const void*> pointers;
  for (int i = 0; i < c.kernel_size; ++i) {
    rows.push_back(std::make_unique<Guarded<T>>((pixels - 1) * step + c.channels, side));
    fill(*rows.back());
    pointers.push_back(rows.back()->data());
  }
  Guarded<float> weight(c.channels * taps, side), bias(c.channels, side);
  fill_floats(weight);
  fill_floats(bias);
  Guarded<T> packed(packed_depthwise_floats(c.channels, c.kernel_size), side);
  pack_depthwise(c.channels, c.kernel_size, weight.data(), c.bias ? bias.data() : nullptr,
                 packed.data());
  Guarded<T> output((c.width - 1) * step + c.channels, side);
  const float untouched = 12288.0f;
  for (std::size_t i = 0; i < output.size(); ++i) output[i] = from_float<T>(untouched);
  Depthwise args;
  args.rows = pointers.data();
  args.row_stride = step * static_cast<int64_t>(sizeof(T));
  args.weights = packed.data();
  args.output = {output.data(), step};
  args.width = c.width;
  args.channels = c.channels;
  args.kernel_size = c.kernel_size;
  args.stride = c.stride;
  args.activation = c.activation;
  kernel.run(args);

  for (int64_t x = 0; x < c.width; ++x) {
    for (int64_t ch = 0; ch < c.channels; ++ch) {
      double sum = c.bias ? bias[ch] : 0.0, magnitude = std::abs(sum) + 3;
      for (int tap = 0; tap < taps; ++tap) {
        const int64_t at = (x * c.stride + tap % c.kernel_size) * step + ch;
        const double term =
            double{to_float((*rows[tap / c.kernel_size])[at])} * weight[ch * taps + tap];
        sum += term;
        magnitude += std::abs(term);
      }
      // Rounding: a product and a sum a tap, then the activation.
      double bound = (taps + 4) * std::ldexp(1.0, kernel.sums == Element::kF16 ? -11 : -24);
      bound *= magnitude;
      bound += std::numeric_limits<float>::min() + storage_error(kernel.element, magnitude);
      const bool linear = c.activation == Activation::kNone;
      const double high = c.activation == Activation::kRelu6 ? 6 : kInf;
      const double expected = std::min(std::max(sum, linear ? -kInf : 0.0), high);
      const float got = to_float(output[x * step + ch]);
      check(std::abs(got - expected) <= bound, c.kernel_size, "x", c.kernel_size, " stride ",
            c.stride, ", width ", c.width, ", ", c.channels, " channels: pixel ", x, " channel ",
            ch, " is ", got, ", expected ", expected, " within ", bound);
    }
    for (int64_t i = c.channels; i < step && x + 1 < c.width; ++i) {
      check(to_float(output[x * step + i]) == untouched, "wrote between pixels ", x, " and ",
            x + 1);
    }
  }
}

void run_case(const DepthwiseKernel& kernel, const Case& c, Against side) {
  with_zero_of(kernel.element, [&](auto zero) { run_typed<decltype(zero)>(kernel, c, side); });
}

}  // namespace

TEST(depthwise_sizes_around_the_tile) {
  on_every_variant(kDepthwiseVariants, [](const DepthwiseKernel& kernel) {
    const int64_t lanes = kernel.lanes;
    for (int size : {3, 5, 7}) {
      for (int stride : {1, 2}) {
        for (int64_t width : {1, 2, 3, 4, 5, 7, 8, 9, 12, 14, 17}) {
          for (int64_t channels :
               {int64_t{1}, int64_t{2}, int64_t{3}, lanes - 1, lanes, lanes + 1, 2 * lanes,
                3 * lanes - 1, 4 * lanes, 5 * lanes + 1, kPanel / 2, kPanel - 1,
                kPanel + kPanel / 2, 2 * kPanel, 3 * kPanel + kPanel / 2 + 1}) {
            if (channels < 1) continue;
            for (Against side : {Against::kStart, Against::kEnd}) {
              run_case(kernel, {size, stride, width, channels}, side);
            }
          }
        }
      }
    }
  });
}

TEST(depthwise_epilogues) {
  on_every_variant(kDepthwiseVariants, [](const DepthwiseKernel& kernel) {
    for (Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
      for (bool bias : {false, true}) {
        for (int64_t gap : {0, 5}) {
          for (int64_t channels : {2 * kernel.lanes + 1, 2 * kPanel + kPanel / 2 + 1}) {
            run_case(kernel, {3, 1, 11, channels, activation, bias, gap}, Against::kEnd);
            run_case(kernel, {5, 2, 11, channels, activation, bias, gap}, Against::kEnd);
            run_case(kernel, {7, 1, 11, channels, activation, bias, gap}, Against::kEnd);
          }
        }
      }
    }
  });
}

TEST(depthwise_nan_stays_nan) {
  on_every_variant(kDepthwiseVariants, [](const DepthwiseKernel& kernel) {
    const int64_t width = 9, channels = kPanel + kPanel / 2 + 1;
    with_zero_of(kernel.element, [&](auto zero) {
      using T = decltype(zero);
      for (int size : {3, 5}) {
        const std::vector<T> row((width - 1 + size) * channels, from_float<T>(kNaN));
        const std::vector<float> weight(size * size * channels, 1.0f);
        std::vector<T> packed(packed_depthwise_floats(channels, size)), output(width * channels);
        pack_depthwise(channels, size, weight.data(), nullptr, packed.data());
        const std::vector<const void*> rows(size, row.data());
        Depthwise args;
        args.rows = rows.data();
        args.row_stride = channels * static_cast<int64_t>(sizeof(T));
        args.weights = packed.data();
        args.output = {output.data(), channels};
        args.width = width;
        args.channels = channels;
        args.kernel_size = size;
        args.activation = Activation::kRelu6;
        kernel.run(args);
        for (T y : output) check(std::isnan(to_float(y)), size, "x", size, ": got ", to_float(y));
      }
    });
  });
}

TEST(depthwise_rows_may_be_the_same) {
  // A caller hands out one zero row for all that lie outside the image.
  on_every_variant(kDepthwiseVariants, [](const DepthwiseKernel& kernel) {
    const int64_t channels = kernel.lanes + 1;
    with_zero_of(kernel.element, [&](auto of_type) {
      using T = decltype(of_type);
      const std::vector<T> zero(3 * channels, from_float<T>(0.0f));
      const std::vector<T> one(3 * channels, from_float<T>(1.0f));
      const std::vector<float> weight(9 * channels, 2.0f);
      std::vector<T> packed(packed_depthwise_floats(channels, 3)), output(channels);
      pack_depthwise(channels, 3, weight.data(), nullptr, packed.data());
      const void* const rows[3] = {zero.data(), one.data(), zero.data()};
      Depthwise args;
      args.rows = rows;
      args.row_stride = channels * static_cast<int64_t>(sizeof(T));
      args.weights = packed.data();
      args.output = {output.data(), channels};
      args.width = 1;
      args.channels = channels;
      kernel.run(args);
      for (T y : output) check(to_float(y) == 6.0f, "got ", to_float(y));
    });
  });
}
