// The micro-kernels of squeeze-and-excite against their definitions.
#include <random>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/squeeze_excite/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;

namespace {

template <class T>
void run_case(const SqueezeExciteKernel& kernel, int64_t count, int64_t channels, int64_t gap,
              Against side) {
  std::mt19937 random(static_cast<unsigned>(count * 31 + channels * 7 + gap));
  std::normal_distribution<float> normal;
  const int64_t step = channels + gap;
  Guarded<T> pixels((count - 1) * step + channels, side);
  Guarded<float> sums(channels, side), by(channels, side);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = from_float<T>(normal(random));
  for (int64_t c = 0; c < channels; ++c) sums[c] = normal(random), by[c] = normal(random);

  std::vector<float> expected(sums.data(), sums.data() + channels);
  for (int64_t p = 0; p < count; ++p) {
    for (int64_t c = 0; c < channels; ++c) expected[c] += to_float(pixels[p * step + c]);
  }
  kernel.add_up({pixels.data(), step}, count, channels, sums.data());
  for (int64_t c = 0; c < channels; ++c) {
    check(sums[c] == expected[c], count, " pixels of ", channels, " channels: sum ", c, " is ",
          sums[c], ", expected ", expected[c]);
  }

  const std::vector<T> given(pixels.data(), pixels.data() + pixels.size());
  kernel.scale({pixels.data(), step}, count, channels, by.data());
  for (int64_t i = 0; i < static_cast<int64_t>(given.size()); ++i) {
    const float x = to_float(given[i]), got = to_float(pixels[i]);
    const float wanted =
        i % step < channels ? to_float(from_float<T>(x * by[i % step])) : x;  // between pixels
    check(got == wanted, count, " pixels of ", channels, " channels: element ", i, " is ", got,
          ", expected ", wanted);
  }
}

}  // namespace

TEST(squeeze_excite_sizes) {
  test::on_every_variant(kSqueezeExciteVariants, [](const SqueezeExciteKernel& kernel) {
    with_zero_of(kernel.element, [&](auto zero) {
      for (int64_t count : {1, 2, 7}) {
        for (int64_t channels : {int64_t{1}, int64_t{2}, int64_t{3}, kernel.lanes, kernel.lanes + 1,
                                 4 * kernel.lanes - 1, 9 * kernel.lanes + 5}) {
          for (int64_t gap : {0, 5}) {
            for (Against side : {Against::kStart, Against::kEnd}) {
              run_case<decltype(zero)>(kernel, count, channels, gap, side);
            }
          }
        }
      }
    });
  });
}
