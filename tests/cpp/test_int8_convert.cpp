// The kernels between int8 maps and others against core/quantized.h, number by number.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "check.h"
#include "guarded.h"
#include "kernels/int8_convert/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;

namespace {

constexpr int64_t kCounts[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 131};
constexpr Against kSides[] = {Against::kStart, Against::kEnd};

int clamped(double q) { return static_cast<int>(std::clamp(q, -128.0, 127.0)); }

int quantized(float x, float inverse_scale, int zero) {
  const float scaled = x * inverse_scale;
  return clamped((std::isnan(scaled) ? 0 : std::nearbyint(scaled)) + zero);
}

}  // namespace

TEST(int8_convert_quantizes) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-140, 140);
  const float inf = std::numeric_limits<float>::infinity();
  const float special[] = {0.5f,  1.5f,   -0.5f, -1.5f, 126.5f, 127.5f, -128.5f,       -129.5f,
                           1e10f, -1e10f, 3e9f,  inf,   -inf,   0.0f,   std::nanf(""), 0.49999997f};
  on_every_variant(kInt8ConvertVariants, [&](const Int8ConvertKernel& kernel) {
    for (const float inverse : {1.0f, 3.7f, 0.02f}) {
      for (const int64_t count : kCounts) {
        for (const Against side : kSides) {
          Guarded<float> from(count, side);
          Guarded<int8_t> to(count, side);
          for (int64_t i = 0; i < count; ++i) from[i] = i < 16 ? special[i] : uniform(random);
          const int zero = inverse == 1.0f ? -128 : 0;
          kernel.quantize(from.data(), count, inverse, zero, to.data());
          for (int64_t i = 0; i < count; ++i) {
            check(to[i] == quantized(from[i], inverse, zero), from[i], " * ", inverse, ": got ",
                  int{to[i]});
          }
        }
      }
    }
  });
}

TEST(int8_convert_dequantizes) {
  on_every_variant(kInt8ConvertVariants, [&](const Int8ConvertKernel& kernel) {
    for (const int zero : {0, -128}) {
      for (const int64_t count : {int64_t{1}, int64_t{15}, int64_t{17}, int64_t{256}}) {
        for (const Against side : kSides) {
          Guarded<int8_t> from(count, side);
          Guarded<float> to(count, side);
          for (int64_t i = 0; i < count; ++i) from[i] = static_cast<int8_t>(i - 128);
          kernel.dequantize(from.data(), count, zero, 0.0123f, to.data());
          for (int64_t i = 0; i < count; ++i) {
            check(to[i] == static_cast<float>(from[i] - zero) * 0.0123f, int{from[i]}, ": got ",
                  to[i]);
            Guarded<int8_t> back(1, side);  // with the same scale
            kernel.quantize(&to[i], 1, 1.0f / 0.0123f, zero, back.data());
            check(back[0] == from[i], int{from[i]}, " came back as ", int{back[0]});
          }
        }
      }
    }
  });
}

TEST(int8_convert_requantizes) {
  std::mt19937 random(2);
  std::uniform_int_distribution<int32_t> sums_of(-(1 << 17), 1 << 17), units(1, 4000);
  constexpr int64_t kGap = 3, kPixels = 3;
  on_every_variant(kInt8ConvertVariants, [&](const Int8ConvertKernel& kernel) {
    for (const int zero : {0, -128}) {
      for (const int64_t channels : {1, 7, 8, 15, 16, 17, 31, 48, 50}) {
        for (const Against side : kSides) {
          const int64_t stride = channels + kGap;
          Guarded<float> sums((kPixels - 1) * stride + channels, side);
          Guarded<int8_t> to(sums.size(), side);
          for (std::size_t i = 0; i < sums.size(); ++i) {
            sums[i] = kMagic + static_cast<float>(sums_of(random));
          }
          // As in packed weights: arrays of a panel, and something between them.
          constexpr int64_t kBetween = 5;
          const int64_t panel = 2 * kPanel + kBetween;
          Guarded<float> arrays(panels(channels) * panel, side);
          for (int64_t i = 0; i < panels(channels) * panel; ++i) {
            if (i % panel < kPanel) {
              // Some halves: a multiple of a half and an odd sum.
              arrays[i] =
                  i % 3 == 0 ? 0x1p-10f : static_cast<float>(units(random)) * kMultiplierUnit;
            } else if (i % panel < 2 * kPanel) {
              arrays[i] = quantized_offset(arrays[i - kPanel], zero);
            }
          }
          std::fill_n(to.data(), to.size(), int8_t{77});
          Requantize args;
          args.sums = {sums.data(), stride};
          args.output = {to.data(), stride};
          args.multipliers = arrays.data();
          args.offsets = arrays.data() + kPanel;
          args.panel_bytes = panel * static_cast<int64_t>(sizeof(float));
          args.pixels = kPixels;
          args.channels = channels;
          kernel.requantize(args);
          for (int64_t i = 0; i < static_cast<int64_t>(to.size()); ++i) {
            const int64_t c = i % stride;
            const double sum = double{sums[i]} - kMagic;
            const int expected =
                c >= channels
                    ? 77
                    : clamped(std::nearbyint(sum * arrays[c / kPanel * panel + c % kPanel]) + zero);
            check(to[i] == expected, channels, " channels, sum ", sum, ": expected ", expected,
                  ", got ", int{to[i]});
          }
        }
      }
    }
  });
}
