// The stem's micro-kernels and its block against their definition in float64.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/pointwise/variants.h"
#include "kernels/stem/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;

namespace {

constexpr double kEps = 0x1p-24;

struct KernelCase {
  bool interleaved;
  int64_t width, out_channels;
  bool bias = true;
  int64_t gap = 0;  // floats between the pixels of the output
};

void run_case(const StemKernel& kernel, const KernelCase& c, Against side) {
  std::mt19937 random(static_cast<unsigned>(c.width * 31 + c.out_channels));
  std::normal_distribution<float> normal;
  const auto fill = [&](Guarded<float>& array) {
    for (std::size_t i = 0; i < array.size(); ++i) array[i] = normal(random);
  };
  const int channels = c.interleaved ? 3 : 1;
  std::vector<std::unique_ptr<Guarded<float>>> rows;
  std::vector<const float*> pointers;
  for (int i = 0; i < 9 / channels; ++i) {
    rows.push_back(std::make_unique<Guarded<float>>((2 * c.width + 1) * channels, side));
    fill(*rows.back());
    pointers.push_back(rows.back()->data());
  }
  const auto image = [&](int ch, int i, int64_t column) {
    return c.interleaved ? (*rows[i])[column * 3 + ch] : (*rows[ch * 3 + i])[column];
  };
  Guarded<float> weight(c.out_channels * 27, side), bias(c.out_channels, side);
  fill(weight);
  fill(bias);
  Guarded<float> packed(packed_pointwise_floats(27, c.out_channels), side);
  pack_pointwise(27, c.out_channels, weight.data(), c.bias ? bias.data() : nullptr, packed.data());
  const int64_t step = c.out_channels + c.gap;
  Guarded<float> output((c.width - 1) * step + c.out_channels, side);
  const float untouched = 12345.0f;
  std::fill_n(output.data(), output.size(), untouched);
  kernel.run({pointers.data(), c.interleaved, packed.data(), output.data(), step, c.width,
              c.out_channels});

  for (int64_t x = 0; x < c.width; ++x) {
    for (int64_t n = 0; n < c.out_channels; ++n) {
      double sum = c.bias ? bias[n] : 0.0, magnitude = std::abs(sum);
      for (int k = 0; k < 27; ++k) {
        const double term = double{image(k / 9, k / 3 % 3, 2 * x + k % 3)} * weight[n * 27 + k];
        sum += term;
        magnitude += std::abs(term);
      }
      // Rounding: a product and a sum for each of the 27 terms.
      const double bound = 2 * 27 * kEps * magnitude + 1e-37, expected = std::max(sum, 0.0);
      const float got = output[x * step + n];
      check(std::abs(got - expected) <= bound, c.interleaved ? "interleaved" : "planar", ", width ",
            c.width, ", ", c.out_channels, " channels: pixel ", x, " channel ", n, " is ", got,
            ", expected ", expected, " within ", bound);
    }
    for (int64_t i = c.out_channels; i < step && x + 1 < c.width; ++i) {
      check(output[x * step + i] == untouched, "wrote between pixels ", x, " and ", x + 1);
    }
  }
}

template <class Element, class Normalize>
void check_normalize(const Normalize& normalize) {
  std::mt19937 random(7);
  for (int64_t count : {1, 2, 3, 15, 16, 17, 47, 48, 49, 96, 101}) {
    for (Against side : {Against::kStart, Against::kEnd}) {
      Guarded<Element> from(count, side);
      Guarded<float> to(count, side);
      Guarded<Normalization> by(1, side);
      for (int k = 0; k < kNormalizationPeriod; ++k) {
        by[0].scale[k] = 0.5f + static_cast<float>(k % 3);
        by[0].offset[k] = static_cast<float>(k) - 20.0f;
      }
      for (int64_t i = 0; i < count; ++i) from[i] = static_cast<Element>(random() % 256);
      normalize(from.data(), count, by[0], to.data());
      // Small multiples of a half, so that every result is exact.
      for (int64_t i = 0; i < count; ++i) {
        const int k = static_cast<int>(i % kNormalizationPeriod);
        const float expected = static_cast<float>(from[i]) * by[0].scale[k] + by[0].offset[k];
        check(to[i] == expected, count, " elements: ", i, " is ", to[i], ", expected ", expected);
      }
    }
  }
}

}  // namespace

TEST(stem_kernel_sizes_around_the_tile) {
  on_every_variant(kStemVariants, [](const StemKernel& kernel) {
    for (bool interleaved : {false, true}) {
      for (int64_t width : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 17, 23}) {
        for (int64_t channels : {int64_t{1}, kernel.lanes - 1, kernel.lanes, kernel.lanes + 1,
                                 kPanel - 1, kPanel, kPanel + 1, 2 * kPanel, 2 * kPanel + 3}) {
          if (channels < 1) continue;
          for (Against side : {Against::kStart, Against::kEnd}) {
            run_case(kernel, {interleaved, width, channels}, side);
          }
        }
      }
      run_case(kernel, {interleaved, 11, kPanel + 1, false, 5}, Against::kEnd);
    }
  });
}

TEST(stem_kernel_normalizes_rows) {
  on_every_variant(kStemVariants, [](const StemKernel& kernel) {
    check_normalize<uint8_t>(kernel.normalize_u8);
    check_normalize<float>(kernel.normalize_f32);
  });
}

TEST(stem_kernel_keeps_nan) {
  on_every_variant(kStemVariants, [](const StemKernel& kernel) {
    const std::vector<float> image(3 * 19, std::numeric_limits<float>::quiet_NaN());
    const std::vector<float> weight(27 * kPanel, 1.0f);
    std::vector<float> packed(packed_pointwise_floats(27, kPanel)), output(9 * kPanel);
    pack_pointwise(27, kPanel, weight.data(), nullptr, packed.data());
    const float* rows[9];
    std::fill_n(rows, 9, image.data());
    for (bool interleaved : {false, true}) {
      std::fill(output.begin(), output.end(), 0.0f);
      kernel.run({rows, interleaved, packed.data(), output.data(), kPanel, 9, kPanel});
      for (float y : output) check(std::isnan(y), "got ", y);
    }
  });
}
