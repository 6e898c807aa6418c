// The pointwise micro-kernels against a float64 product.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "activated.h"
#include "check.h"
#include "guarded.h"
#include "kernels/pointwise/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;
using test::storage_error;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Case {
  int64_t pixels, in_channels, out_channels;
  Activation activation = Activation::kNone;
  bool bias = true, multiplier = false, residual = false;
  int64_t gap = 0;  // floats between the pixels of every array
};

// Rounding: a product and a sum a channel, then bias, activation, multiplier and residual. In
// float16 runs are short, and their totals few: the worst seen over 768 channels is 1.7 eps of the
// terms.
double bound(const PointwiseKernel& kernel, const Case& c, double magnitude) {
  double error = (c.in_channels + 8) * std::ldexp(1.0, -24);
  if (kernel.sums == Element::kF16) error += (4 + 4) * std::ldexp(1.0, -11);
  const double sum = error * magnitude + std::numeric_limits<float>::min();
  return sum + storage_error(kernel.element, magnitude + sum);
}

template <class T>
void run_typed(const PointwiseKernel& kernel, const Case& c, Against side) {
  std::mt19937 random(static_cast<unsigned>(c.pixels * 31 + c.in_channels * 7 + c.out_channels));
  std::normal_distribution<float> normal;
  const int64_t in = c.in_channels + c.gap, out = c.out_channels + c.gap;
  // The last pixel's gap is not part of the array.
  Guarded<T> input((c.pixels - 1) * in + c.in_channels, side);
  Guarded<T> output((c.pixels - 1) * out + c.out_channels, side);
  Guarded<T> multiplier(output.size(), side), residual(output.size(), side);
  Guarded<float> weight(c.out_channels * c.in_channels, side), bias(c.out_channels, side);
  for (Guarded<T>* array : {&input, &multiplier, &residual}) {
    for (std::size_t i = 0; i < array->size(); ++i) (*array)[i] = from_float<T>(normal(random));
  }
  for (Guarded<float>* array : {&weight, &bias}) {  // numbers that the type has
    for (std::size_t i = 0; i < array->size(); ++i) {
      (*array)[i] = to_float(from_float<T>(normal(random)));
    }
  }
  const float untouched = 12288.0f;
  std::fill_n(output.data(), output.size(), from_float<T>(untouched));

  Guarded<T> packed(packed_pointwise_floats(c.in_channels, c.out_channels), side);
  pack_pointwise(c.in_channels, c.out_channels, weight.data(), c.bias ? bias.data() : nullptr,
                 packed.data());
  Pointwise args;
  args.input = {input.data(), in};
  args.weights = packed.data();
  args.output = {output.data(), out};
  if (c.multiplier) args.multiplier = {multiplier.data(), out};
  if (c.residual) args.residual = {residual.data(), out};
  args.pixels = c.pixels;
  args.in_channels = c.in_channels;
  args.out_channels = c.out_channels;
  args.activation = c.activation;
  kernel.run(args);

  for (int64_t p = 0; p < c.pixels; ++p) {
    for (int64_t n = 0; n < c.out_channels; ++n) {
      double sum = c.bias ? bias[n] : 0.0, magnitude = std::abs(sum) + 3;
      for (int64_t k = 0; k < c.in_channels; ++k) {
        const double term = double{to_float(input[p * in + k])} * weight[n * c.in_channels + k];
        sum += term;
        magnitude += std::abs(term);
      }
      const int64_t at = p * out + n;
      double expected = test::activated(sum, c.activation);
      magnitude *= test::steepest(c.activation);
      if (c.multiplier) {
        const double factor = to_float(multiplier[at]);
        expected *= factor;
        magnitude *= std::max(1.0, std::abs(factor));
      }
      if (c.residual) {
        expected += to_float(residual[at]);
        magnitude += std::abs(to_float(residual[at]));
      }
      const double got = to_float(output[at]), error = std::abs(got - expected);
      check(error <= bound(kernel, c, magnitude), c.pixels, "x", c.in_channels, "x", c.out_channels,
            " activation ", static_cast<int>(c.activation), ": pixel ", p, " channel ", n, " is ",
            got, ", expected ", expected, " within ", bound(kernel, c, magnitude));
    }
    for (int64_t n = c.out_channels; n < out && p + 1 < c.pixels; ++n) {
      check(to_float(output[p * out + n]) == untouched, "wrote between pixels ", p, " and ", p + 1);
    }
  }
}

void run_case(const PointwiseKernel& kernel, const Case& c, Against side) {
  with_zero_of(kernel.element, [&](auto zero) { run_typed<decltype(zero)>(kernel, c, side); });
}

}  // namespace

TEST(pointwise_sizes_around_the_tile) {
  on_every_variant(kPointwiseVariants, [](const PointwiseKernel& kernel) {
    for (int64_t pixels : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15, 17}) {
      for (int64_t in : {1, 2, 3, 4, 5, 7, 8, 9, 16, 19}) {
        for (int64_t out :
             {int64_t{1}, int64_t{2}, int64_t{3}, kernel.lanes - 1, kernel.lanes, kernel.lanes + 1,
              kPanel / 2, kPanel - 4, kPanel - 1, kPanel, kPanel + 1, kPanel + kPanel / 2,
              2 * kPanel - 4, 2 * kPanel + kernel.lanes + 3}) {
          if (out < 1) continue;
          for (Against side : {Against::kStart, Against::kEnd}) {
            run_case(kernel, {pixels, in, out}, side);
          }
        }
      }
    }
  });
}

TEST(pointwise_epilogues) {
  std::mt19937 random(7);
  // Every epilogue on every tile; of depths and gaps, which hang on neither, one at random.
  on_every_variant(kPointwiseVariants, [&](const PointwiseKernel& kernel) {
    for (Activation activation : test::kActivations) {
      if (activation > kernel.most) continue;
      for (int mask = 0; mask < 8; ++mask) {
        // Whole and partial tiles in either direction, of every number of pixels.
        for (int64_t pixels : {1, 2, 3, 17, 18, 19, 23}) {
          for (int64_t rest : {3, 4, 8, 12}) {
            const int64_t depths[] = {6, 8, 24};
            Case c{pixels, depths[random() % 3], 2 * kPanel + rest, activation};
            c.bias = (mask & 1) != 0;
            c.multiplier = (mask & 2) != 0;
            c.residual = (mask & 4) != 0;
            c.gap = random() % 2 * 5;
            run_case(kernel, c, Against::kEnd);
            run_case(kernel, c, Against::kStart);
          }
        }
      }
    }
  });
}

TEST(pointwise_layers_of_the_network) {
  on_every_variant(kPointwiseVariants, [](const PointwiseKernel& kernel) {
    for (const Case& c :
         {Case{300, 16, 64, Activation::kRelu}, Case{200, 48, 16}, Case{64, 384, 128},
          Case{70, 160, 150}, Case{4, 1536, 320},
          // Blocks of one tile, the last of which takes some pixels more.
          Case{17, 1536, 40}, Case{13, 1536, 24},
          // Runs of sums: one, two, and one that is not whole.
          Case{17, 80, 24}, Case{9, 96, 16}, Case{9, 143, 40}, Case{9, 144, 8}, Case{5, 191, 24},
          // More weights than a kernel holds at once, of several tiles of pixels.
          Case{50, 1040, 40}}) {
      run_case(kernel, c, Against::kEnd);
    }
  });
}

TEST(pointwise_may_write_over_its_residual) {
  // Small integers, so that every sum is exact.
  on_every_variant(kPointwiseVariants, [](const PointwiseKernel& kernel) {
    with_zero_of(kernel.element, [&](auto zero) {
      using T = decltype(zero);
      for (int64_t in : {1, 8}) {
        const int64_t pixels = 9, out = kPanel + 1;
        const std::vector<float> weight(out * in, 2.0f);
        const std::vector<T> input(pixels * in, from_float<T>(3.0f));
        std::vector<T> packed(packed_pointwise_floats(in, out)), output(pixels * out);
        pack_pointwise(in, out, weight.data(), nullptr, packed.data());
        for (std::size_t i = 0; i < output.size(); ++i) {
          output[i] = from_float<T>(static_cast<float>(i));
        }
        Pointwise args;
        args.input = {input.data(), in};
        args.weights = packed.data();
        args.output = {output.data(), out};
        args.residual = {output.data(), out};
        args.pixels = pixels;
        args.in_channels = in;
        args.out_channels = out;
        kernel.run(args);
        for (std::size_t i = 0; i < output.size(); ++i) {
          check(to_float(output[i]) == 6.0f * in + i, "element ", i, " is ", to_float(output[i]));
        }
      }
    });
  });
}

TEST(pointwise_panels_are_packed_weights_by_themselves) {
  for (int64_t in : {1, 7}) {
    const int64_t out = 2 * kPanel + 3;
    std::vector<float> weight(out * in), bias(out), all(packed_pointwise_floats(in, out));
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<float>(i + 1);
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = -static_cast<float>(i + 1);
    pack_pointwise(in, out, weight.data(), bias.data(), all.data());
    for (int64_t first : {int64_t{0}, kPanel, 2 * kPanel}) {
      std::vector<float> some(packed_pointwise_floats(in, out - first));
      pack_pointwise(in, out - first, &weight[first * in], &bias[first], some.data());
      const float* from = all.data() + packed_pointwise_offset(in, first);
      check(std::equal(some.begin(), some.end(), from), "from channel ", first, " of ", in);
    }
    for (int64_t n = 0; n < out; ++n) {
      const float* at = all.data() + packed_pointwise_offset(in, n);
      check(*at == bias[n] && at[kPanel] == weight[n * in], "channel ", n, " of ", in);
    }
  }
}

TEST(pointwise_nan_passes_through_activations) {
  on_every_variant(kPointwiseVariants, [](const PointwiseKernel& kernel) {
    with_zero_of(kernel.element, [&](auto zero) {
      using T = decltype(zero);
      const int64_t pixels = 7, in = 8, channels = kPanel + 1;
      const std::vector<float> weight(channels * in, 1.0f);
      const std::vector<T> input(pixels * in, from_float<T>(kNaN));
      std::vector<T> packed(packed_pointwise_floats(in, channels));
      pack_pointwise(in, channels, weight.data(), nullptr, packed.data());
      for (Activation activation : test::kActivations) {
        if (activation > kernel.most) continue;
        std::vector<T> output(pixels * channels);
        Pointwise args;
        args.input = {input.data(), in};
        args.weights = packed.data();
        args.output = {output.data(), channels};
        args.pixels = pixels;
        args.in_channels = in;
        args.out_channels = channels;
        args.activation = activation;
        kernel.run(args);
        for (T y : output) {
          check(std::isnan(to_float(y)), "activation ", static_cast<int>(activation));
        }
      }
    });
  });
}
