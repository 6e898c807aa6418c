// The int8 depthwise micro-kernels: bit by bit what the definition says, computed here in int64.
#include <algorithm>
#include <cmath>
#include <random>

#include "check.h"
#include "guarded.h"
#include "kernels/int8_depthwise/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;

namespace {

struct Case {
  int64_t width, channels;
  int kernel_size, stride;
  int32_t zero_in, zero_out;
  double spread = 60;  // of the outputs
};

// The nearest whole number to a * b / 2^22, ties to even.
int64_t scaled(int64_t a, int64_t b) {
  const int64_t product = a * b, low = product & ((1 << 22) - 1), down = product >> 22;
  constexpr int64_t kHalf = 1 << 21;
  return down + (low > kHalf || (low == kHalf && down % 2 != 0));
}

void run_case(const Int8DepthwiseKernel& kernel, const Case& c, Against side) {
  std::mt19937 random(static_cast<unsigned>(c.width * 31 + c.channels * 7 + c.kernel_size));
  std::uniform_int_distribution<int> any(-128, 127), weights(-127, 127);
  const int64_t size = c.kernel_size, taps = size * size;
  std::vector<int8_t> weight(c.channels * taps);
  std::vector<int32_t> bias(c.channels);
  std::vector<float> multiplier(c.channels);
  for (int8_t& w : weight) w = static_cast<int8_t>(weights(random));
  const double sums = 74 * 74 * static_cast<double>(size);
  for (int64_t n = 0; n < c.channels; ++n) {
    bias[n] = static_cast<int32_t>(std::uniform_real_distribution<>(-sums, sums)(random));
    double unit = c.spread / sums * std::uniform_real_distribution<>(0.5, 2)(random);
    if (n % 3 == 0) unit = std::exp2(std::floor(std::log2(unit)));  // for ties
    multiplier[n] = static_cast<float>(std::floor(unit * 0x1p22) * 0x1p-22);
  }
  std::vector<int8_t> packed(packed_int8_depthwise_bytes(c.channels, c.kernel_size));
  pack_int8_depthwise(c.channels, c.kernel_size, weight.data(), bias.data(), multiplier.data(),
                      c.zero_out, packed.data());
  const Int8DepthwiseShape shape = {c.channels, c.kernel_size, c.stride};
  Guarded<int8_t> prepared(kernel.prepared_bytes(shape), side);
  kernel.prepare(shape, packed.data(), c.zero_in, prepared.data());

  const int64_t groups = (c.width + 3) / 4, quads = (c.channels + 3) / 4;
  const int64_t in_groups = groups * c.stride + 2, row_stride = 16 * in_groups;
  Guarded<int8_t> input(size * quads * row_stride, side);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<int8_t>(any(random));
  // A pixel of a row, of which there are four before the first one.
  const auto input_of = [&](int64_t row, int64_t pixel, int64_t n) {
    const int64_t quad = (row * quads + n / 4) * in_groups + (pixel + 4) / 4;
    return static_cast<int64_t>(input[quad * 16 + n % 4 * 4 + (pixel + 4) % 4]);
  };
  const int64_t group = 16 * quads + 16;
  Guarded<int8_t> output((groups - 1) * group + 16 * quads, side);
  std::fill_n(output.data(), output.size(), static_cast<int8_t>(113));
  const void* rows[5];
  for (int64_t i = 0; i < size; ++i) rows[i] = &input[i * quads * row_stride + 16];
  Int8Depthwise args;
  args.rows = rows;
  args.row_stride = row_stride;
  args.weights = prepared.data();
  args.output = {output.data(), group};
  args.width = c.width;
  args.channels = c.channels;
  args.kernel_size = c.kernel_size;
  args.stride = c.stride;
  args.zero = c.zero_out;
  kernel.run(args);

  for (int64_t x = 0; x < groups * 4; ++x) {
    for (int64_t n = 0; n < quads * 4; ++n) {
      int64_t q = c.zero_out;
      if (n < c.channels) {
        int64_t sum = bias[n];
        for (int64_t tap = 0; tap < taps; ++tap) {
          const int64_t pixel = x * c.stride + tap % size - size / 2;
          sum += (input_of(tap / size, pixel, n) - c.zero_in) * weight[n * taps + tap];
        }
        q += scaled(sum, static_cast<int64_t>(multiplier[n] * 0x1p22));
        check(std::abs(sum) < 1 << 22 && std::abs(q) < 1 << 15, "the case breaks the limits");
      }
      const auto expected = std::clamp<int64_t>(q, -128, 127);
      const int got = output[x / 4 * group + n / 4 * 16 + x % 4 * 4 + n % 4];
      check(got == expected, c.width, "x", c.channels, " size ", size, " stride ", c.stride,
            ": pixel ", x, " channel ", n, " is ", got, ", expected ", expected);
    }
  }
  for (int64_t g = 0; g + 1 < groups; ++g) {
    for (int64_t i = 16 * quads; i < group; ++i) {
      check(output[g * group + i] == 113, "wrote between quads ", g, " and ", g + 1);
    }
  }
}

}  // namespace

TEST(int8_depthwise_sizes_around_the_tile) {
  on_every_variant(kInt8DepthwiseVariants, [](const Int8DepthwiseKernel& kernel) {
    for (int size : {3, 5}) {
      for (int stride : {1, 2}) {
        for (int64_t width : {1, 2, 3, 4, 5, 8, 9, 12, 13, 16, 17, 20, 24, 28, 33, 48}) {
          for (int64_t channels : {1, 3, 4, 5, 16, 17, 24, 40}) {
            for (int mask = 0; mask < 4; ++mask) {
              const Case c = {width,
                              channels,
                              size,
                              stride,
                              (mask & 1) != 0 ? kLeastQuantized : 0,
                              (mask & 2) != 0 ? kLeastQuantized : 0};
              run_case(kernel, c, mask % 2 == 0 ? Against::kEnd : Against::kStart);
            }
          }
        }
      }
    }
  });
}

TEST(int8_depthwise_saturates_at_both_ends) {
  on_every_variant(kInt8DepthwiseVariants, [](const Int8DepthwiseKernel& kernel) {
    for (int size : {3, 5}) {
      for (int stride : {1, 2}) {
        for (int32_t zero : {0, kLeastQuantized}) {
          run_case(kernel, {28, 24, size, stride, zero, zero, 1000}, Against::kEnd);
        }
      }
    }
  });
}
