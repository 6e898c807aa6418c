// The int8 pointwise micro-kernels: bit by bit what the definition says, computed here in int64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "check.h"
#include "guarded.h"
#include "kernels/int8_pointwise/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;

namespace {

struct Case {
  int64_t pixels, in_channels, out_channels;
  Int8Output form = Int8Output::kInt8;
  bool residual = false;
  int32_t zero_in = 0, zero_out = 0, residual_zero = 0;
  int32_t ratio = kRatioOne;
  int64_t gap = 0;    // elements between the pixels of every array
  double width = 40;  // of the outputs' distribution
};

// The nearest whole number to a * b / 2^22, ties to even.
int64_t scaled(int64_t a, int64_t b) {
  const int64_t product = a * b, low = product & ((1 << 22) - 1), down = product >> 22;
  constexpr int64_t kHalf = 1 << 21;
  return down + (low > kHalf || (low == kHalf && down % 2 != 0));
}

struct Weights {
  std::vector<int8_t> weight;
  std::vector<int32_t> bias;
  std::vector<float> multiplier;
};

// Weights whose sums are within the limits, and multipliers that spread outputs.
Weights weights_of(const Case& c, std::mt19937& random) {
  Weights w;
  w.weight.resize(c.in_channels * c.out_channels);
  w.bias.resize(c.out_channels);
  w.multiplier.resize(c.out_channels);
  const int64_t most = std::min<int64_t>(127, (int64_t{1} << 21) / (255 * c.in_channels));
  std::uniform_int_distribution<int> weight(static_cast<int>(-most), static_cast<int>(most));
  for (int8_t& x : w.weight) x = static_cast<int8_t>(weight(random));
  const double spread =
      std::sqrt(static_cast<double>(c.in_channels)) * 74.0 * (static_cast<double>(most) + 1) * 0.58;
  for (int64_t n = 0; n < c.out_channels; ++n) {
    w.bias[n] = static_cast<int32_t>(std::uniform_real_distribution<>(-spread, spread)(random));
    const double multiplier = c.width / spread * std::uniform_real_distribution<>(0.5, 2)(random);
    // Every third is a power of two, for ties; the limits hold for all.
    const double magnitude = 255.0 * 128 * static_cast<double>(c.in_channels) + spread;
    double unit = std::min({multiplier, 2.0, 30000 / std::min(magnitude, 0x1p22)});
    if (n % 3 == 0) unit = std::exp2(std::floor(std::log2(unit)));
    w.multiplier[n] = static_cast<float>(std::floor(unit * 0x1p22) * 0x1p-22);
  }
  return w;
}

// Also with weights that are prepared, if the variant takes them, which gives the same.
template <class T>
void run_both_ways(const Int8PointwiseKernel& kernel, const Int8Pointwise& args, Guarded<T>& output,
                   Against side) {
  const std::vector<T> before(output.data(), output.data() + output.size());
  kernel.run(args);
  if (kernel.prepare == nullptr) return;
  const std::vector<T> unprepared(output.data(), output.data() + output.size());
  std::copy(before.begin(), before.end(), output.data());
  Guarded<int8_t> prepared(kernel.prepared_bytes(args.in_channels, args.out_channels), side);
  kernel.prepare(args.in_channels, args.out_channels, args.weights, prepared.data());
  Int8Pointwise again = args;
  again.prepared = prepared.data();
  kernel.run(again);
  check(std::equal(unprepared.begin(), unprepared.end(), output.data()),
        "prepared weights give another output, ", args.pixels, "x", args.in_channels, "x",
        args.out_channels, " form ", static_cast<int>(args.form));
}

template <class T>
void run_typed(const Int8PointwiseKernel& kernel, const Case& c, Against side) {
  std::mt19937 random(static_cast<unsigned>(c.pixels * 31 + c.in_channels * 7 + c.out_channels));
  std::uniform_int_distribution<int> any(-128, 127);
  const int64_t in = c.in_channels + c.gap, out = c.out_channels + c.gap;
  // The last pixel's gap is not part of the array.
  Guarded<int8_t> input((c.pixels - 1) * in + c.in_channels, side);
  Guarded<T> output((c.pixels - 1) * out + c.out_channels, side);
  Guarded<int8_t> residual(output.size(), side);
  for (Guarded<int8_t>* array : {&input, &residual}) {
    for (std::size_t i = 0; i < array->size(); ++i) (*array)[i] = static_cast<int8_t>(any(random));
  }
  const T untouched = 113;
  std::fill_n(output.data(), output.size(), untouched);
  const Weights w = weights_of(c, random);
  Guarded<int8_t> packed(packed_int8_pointwise_bytes(c.in_channels, c.out_channels), side);
  pack_int8_pointwise(c.in_channels, c.out_channels, w.weight.data(), w.bias.data(),
                      w.multiplier.data(), c.zero_in, c.zero_out, packed.data());
  Int8Pointwise args;
  args.input = {input.data(), in};
  args.weights = packed.data();
  args.output = {output.data(), out};
  if (c.residual) args.residual = {residual.data(), out};
  args.ratio = c.ratio;
  args.residual_zero = c.residual_zero;
  args.form = c.form;
  args.zero = c.zero_out;
  args.pixels = c.pixels;
  args.in_channels = c.in_channels;
  args.out_channels = c.out_channels;
  run_both_ways(kernel, args, output, side);

  for (int64_t p = 0; p < c.pixels; ++p) {
    for (int64_t n = 0; n < c.out_channels; ++n) {
      int64_t sum = w.bias[n];
      for (int64_t k = 0; k < c.in_channels; ++k) {
        sum += (input[p * in + k] - c.zero_in) * w.weight[n * c.in_channels + k];
      }
      const auto multiplier = static_cast<int64_t>(w.multiplier[n] * 0x1p22);
      int64_t q = scaled(sum, multiplier) + c.zero_out;
      check(std::abs(sum) < 1 << 22 && std::abs(q) < 1 << 15, "the case breaks the limits");
      if (c.residual) {
        const int64_t more = residual[p * out + n] - c.residual_zero;
        q += (more * 8 * c.ratio + (1 << 14)) >> 15;
      }
      q = std::clamp<int64_t>(q, -128, 127);
      T expected;
      if (c.form == Int8Output::kFloat) {
        expected = static_cast<T>(static_cast<float>(sum) * w.multiplier[n]);
      } else {
        expected = static_cast<T>(c.form == Int8Output::kInt8 ? q : q - c.zero_out);
      }
      const T got = output[p * out + n];
      check(got == expected, c.pixels, "x", c.in_channels, "x", c.out_channels, " form ",
            static_cast<int>(c.form), " residual ", c.residual, ": pixel ", p, " channel ", n,
            " is ", double(got), ", expected ", double(expected));
    }
    for (int64_t n = c.out_channels; n < out && p + 1 < c.pixels; ++n) {
      check(output[p * out + n] == untouched, "wrote between pixels ", p, " and ", p + 1);
    }
  }
}

void run_case(const Int8PointwiseKernel& kernel, const Case& c) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    if (c.form == Int8Output::kInt8) {
      run_typed<int8_t>(kernel, c, side);
    } else {
      run_typed<float>(kernel, c, side);
    }
  }
}

struct QuadCase {
  int64_t pixels, in_channels, out_channels;
  bool residual;
};

void check_quads(const Int8PointwiseKernel& kernel, const QuadCase& q) {
  std::mt19937 random(static_cast<unsigned>(q.pixels * 31 + q.in_channels * 7 + q.out_channels));
  std::uniform_int_distribution<int> any(-128, 127);
  Case c{q.pixels, q.in_channels, q.out_channels};
  c.zero_in = kLeastQuantized;
  const Weights w = weights_of(c, random);
  std::vector<int8_t> packed(packed_int8_pointwise_bytes(c.in_channels, c.out_channels));
  pack_int8_pointwise(c.in_channels, c.out_channels, w.weight.data(), w.bias.data(),
                      w.multiplier.data(), c.zero_in, c.zero_out, packed.data());
  std::vector<int8_t> input(c.pixels * c.in_channels), residual(c.pixels * c.out_channels);
  for (std::vector<int8_t>* array : {&input, &residual}) {
    for (int8_t& x : *array) x = static_cast<int8_t>(any(random));
  }
  const int64_t groups = (c.pixels + 3) / 4, in_quads = (c.in_channels + 3) / 4;
  const int64_t group = 16 * in_quads + 16;
  Guarded<int8_t> quads((groups - 1) * group + 16 * in_quads, Against::kEnd);
  for (int64_t p = 0; p < c.pixels; ++p) {
    for (int64_t k = 0; k < c.in_channels; ++k) {
      quads[p / 4 * group + k / 4 * 16 + p % 4 * 4 + k % 4] = input[p * c.in_channels + k];
    }
  }
  std::vector<int8_t> expected(c.pixels * c.out_channels), output(expected.size(), 0);
  Int8Pointwise args;
  args.input = {input.data(), c.in_channels};
  args.weights = packed.data();
  args.output = {expected.data(), c.out_channels};
  if (q.residual) args.residual = {residual.data(), c.out_channels};
  args.ratio = kRatioOne / 2;
  args.pixels = c.pixels;
  args.in_channels = c.in_channels;
  args.out_channels = c.out_channels;
  kernel.run(args);
  args.input_quads = true;
  args.input = {quads.data(), group};
  args.output = {output.data(), c.out_channels};
  kernel.run(args);
  check(output == expected, "of quads, ", c.pixels, "x", c.in_channels, "x", c.out_channels,
        " residual ", q.residual);
  if (q.residual) return;
  args.form = Int8Output::kInt8Quads;
  const int64_t row = 16 * groups + 16, rows = panels(c.out_channels) * 4;
  for (bool from_quads : {false, true}) {
    Guarded<int8_t> written((rows - 1) * row + 16 * groups, Against::kEnd);
    args.input_quads = from_quads;
    if (!from_quads) args.input = {input.data(), c.in_channels};
    if (from_quads) args.input = {quads.data(), group};
    args.output = {written.data(), row};
    run_both_ways(kernel, args, written, Against::kEnd);
    for (int64_t n = 0; n < rows * 4; ++n) {
      for (int64_t p = 0; p < groups * 4; ++p) {
        const int got = written[n / 4 * row + p / 4 * 16 + n % 4 * 4 + p % 4];
        const bool beyond = p >= c.pixels || n >= c.out_channels;
        const int wanted = beyond ? c.zero_out : expected[p * c.out_channels + n];
        check(got == wanted, "to quads, ", c.pixels, "x", c.in_channels, "x", c.out_channels,
              ": pixel ", p, " channel ", n, " is ", got, ", expected ", wanted);
      }
    }
  }
}

constexpr Int8Output kForms[] = {Int8Output::kInt8, Int8Output::kInt8Float, Int8Output::kFloat};

}  // namespace

TEST(int8_pointwise_sizes_around_the_tile) {
  on_every_variant(kInt8PointwiseVariants, [](const Int8PointwiseKernel& kernel) {
    for (int64_t pixels : {1, 2, 3, 4, 5, 6, 7, 8, 9, 24}) {
      for (int64_t in : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 20, 27, 28, 32, 48, 64, 130}) {
        for (int64_t out : {1, 15, 16, 17, 33}) run_case(kernel, {pixels, in, out});
      }
    }
  });
}

TEST(int8_pointwise_forms_residuals_and_zero_points) {
  on_every_variant(kInt8PointwiseVariants, [](const Int8PointwiseKernel& kernel) {
    for (Int8Output form : kForms) {
      for (bool residual : {false, true}) {
        if (residual && form != Int8Output::kInt8) continue;
        for (int mask = 0; mask < 8; ++mask) {
          for (int64_t in : {3, 8, 16, 24, 64, 80}) {
            for (int64_t pixels : {1, 4, 7, 13}) {
              Case c{pixels, in, 2 * kPanel + 5, form, residual};
              c.zero_in = (mask & 1) != 0 ? kLeastQuantized : 0;
              c.zero_out = (mask & 2) != 0 && form != Int8Output::kFloat ? kLeastQuantized : 0;
              c.residual_zero = (mask & 2) != 0 ? 0 : kLeastQuantized;
              c.ratio = (mask & 1) != 0 ? 8 * kRatioOne - 1 : kRatioOne / 2 + 1;
              c.gap = (mask & 4) != 0 ? 5 : 0;
              run_case(kernel, c);
            }
          }
        }
      }
    }
  });
}

TEST(int8_pointwise_saturates_at_both_ends) {
  on_every_variant(kInt8PointwiseVariants, [](const Int8PointwiseKernel& kernel) {
    for (int32_t zero : {0, kLeastQuantized}) {
      for (bool residual : {false, true}) {
        Case c{9, 32, 40, Int8Output::kInt8, residual};
        c.zero_out = zero;
        c.width = 4000;
        c.ratio = 8 * kRatioOne - 1;
        run_case(kernel, c);
        c.form = Int8Output::kInt8Float;
        c.residual = false;
        run_case(kernel, c);
      }
    }
  });
}

TEST(int8_pointwise_ties_go_to_even) {
  on_every_variant(kInt8PointwiseVariants, [](const Int8PointwiseKernel& kernel) {
    // Sums from -128 to 127, times 1/2, 1/4 and so on.
    const int64_t pixels = 256, out = 5;
    std::vector<int8_t> input(pixels), weight(out, 1), output(pixels * out);
    for (int64_t p = 0; p < pixels; ++p) input[p] = static_cast<int8_t>(p - 128);
    const std::vector<int32_t> bias(out, 0);
    std::vector<float> multiplier(out);
    for (int64_t n = 0; n < out; ++n) multiplier[n] = std::ldexp(1.0f, static_cast<int>(-1 - n));
    std::vector<int8_t> packed(packed_int8_pointwise_bytes(1, out));
    pack_int8_pointwise(1, out, weight.data(), bias.data(), multiplier.data(), 0, 0, packed.data());
    Int8Pointwise args;
    args.input = {input.data(), 1};
    args.weights = packed.data();
    args.output = {output.data(), out};
    args.pixels = pixels;
    args.in_channels = 1;
    args.out_channels = out;
    kernel.run(args);
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t n = 0; n < out; ++n) {
        const double expected = std::nearbyint((p - 128) * double{multiplier[n]});
        check(output[p * out + n] == expected, p - 128, " times ", multiplier[n], " is ",
              int{output[p * out + n]}, ", expected ", expected);
      }
    }
  });
}

// Quads of the input from pixels, and of the output to pixels.
TEST(int8_pointwise_takes_and_gives_quads) {
  on_every_variant(kInt8PointwiseVariants, [](const Int8PointwiseKernel& kernel) {
    if (!kernel.quads) return;
    for (int64_t pixels : {1, 3, 4, 5, 8, 15, 24}) {
      for (int64_t in : {3, 4, 8, 16, 20, 28, 32, 48, 64, 100, 144, 192, 2052}) {
        for (int64_t out : {1, 16, 33}) {
          for (bool residual : {false, true}) check_quads(kernel, {pixels, in, out, residual});
        }
      }
    }
  });
}

TEST(int8_pointwise_layers_of_the_network) {
  on_every_variant(kInt8PointwiseVariants, [](const Int8PointwiseKernel& kernel) {
    for (Case c : {Case{300, 16, 64}, Case{200, 48, 16}, Case{64, 384, 128}, Case{70, 160, 150},
                   Case{4, 1536, 320}, Case{17, 1040, 40}, Case{9, 336, 24},
                   // More than a kernel holds the weights of at once.
                   Case{7, 4100, 17}}) {
      run_case(kernel, c);
      c.residual = true;
      run_case(kernel, c);
    }
  });
}

TEST(int8_pointwise_may_write_over_its_residual) {
  on_every_variant(kInt8PointwiseVariants, [](const Int8PointwiseKernel& kernel) {
    for (int64_t pixels : {1, 3, 7, 12}) {
      for (int64_t in : {1, 8, 16, 48}) {
        const int64_t out = kPanel + 1;
        const std::vector<int8_t> weight(out * in, 1), input(pixels * in, 2);
        const std::vector<int32_t> bias(out, 0);
        const std::vector<float> multiplier(out, 0.5f);
        std::vector<int8_t> packed(packed_int8_pointwise_bytes(in, out)), output(pixels * out);
        pack_int8_pointwise(in, out, weight.data(), bias.data(), multiplier.data(), 0, 0,
                            packed.data());
        for (std::size_t i = 0; i < output.size(); ++i) output[i] = static_cast<int8_t>(i % 61);
        Int8Pointwise args;
        args.input = {input.data(), in};
        args.weights = packed.data();
        args.output = {output.data(), out};
        args.residual = {output.data(), out};
        args.ratio = kRatioOne;
        args.pixels = pixels;
        args.in_channels = in;
        args.out_channels = out;
        kernel.run(args);
        for (std::size_t i = 0; i < output.size(); ++i) {
          const auto expected = static_cast<int64_t>(i % 61) + in;
          check(output[i] == expected, "element ", i, " is ", int{output[i]}, ", expected ",
                expected);
        }
      }
    }
  });
}

TEST(int8_pointwise_panels_are_packed_weights_by_themselves) {
  for (int64_t in : {1, 7, 8}) {
    const int64_t out = 2 * kPanel + 3;
    std::vector<int8_t> weight(out * in), all(packed_int8_pointwise_bytes(in, out));
    std::vector<int32_t> bias(out);
    std::vector<float> multiplier(out);
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<int8_t>(i % 120 + 1);
    for (int64_t n = 0; n < out; ++n) {
      bias[n] = static_cast<int32_t>(-n);
      multiplier[n] = static_cast<float>(n + 1) * kMultiplierUnit;
    }
    const auto pack_from = [&](int64_t first, void* to) {
      pack_int8_pointwise(in, out - first, &weight[first * in], &bias[first], &multiplier[first],
                          kLeastQuantized, kLeastQuantized, to);
    };
    pack_from(0, all.data());
    for (int64_t first : {int64_t{0}, kPanel, 2 * kPanel}) {
      std::vector<int8_t> some(packed_int8_pointwise_bytes(in, out - first));
      pack_from(first, some.data());
      const int8_t* from = all.data() + packed_int8_pointwise_offset(in, first);
      check(std::equal(some.begin(), some.end(), from), "from channel ", first, " of ", in);
    }
  }
}
