// The conversions between float16 and float32 against core/element.h, and that against its meaning.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/convert/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;

namespace {

constexpr int kHalves = 1 << 16;
constexpr int64_t kCounts[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 131};

// What the bits of a float16 mean.
double meaning(int bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits >> 15 ? -1.0 : 1.0;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

float of_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

bool is_same(float a, float b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

std::vector<Half> all_halves() {
  std::vector<Half> halves(kHalves);
  for (int i = 0; i < kHalves; ++i) halves[i].bits = static_cast<uint16_t>(i);
  return halves;
}

// Each float16, what lies halfway to the next, and the floats beside both; then any bits.
std::vector<float> floats() {
  std::vector<float> all;
  for (int bits = 0; bits < kHalves; ++bits) {
    const float x = static_cast<float>(meaning(bits));
    all.push_back(x);
    if (!std::isfinite(x)) continue;
    const bool largest = (bits & 0x7fff) == 0x7bff;  // 65536 would follow it
    const double next = largest ? std::copysign(65536.0, x) : meaning(bits + 1);
    const float tie = static_cast<float>((x + next) / 2);
    for (float at : {x, tie}) {
      all.push_back(std::nextafter(at, -INFINITY));
      all.push_back(at);
      all.push_back(std::nextafter(at, INFINITY));
    }
  }
  std::mt19937 random(5);
  for (int i = 0; i < 1 << 17; ++i) all.push_back(of_bits(static_cast<uint32_t>(random())));
  for (uint32_t bits : {0x00000001u, 0x7f7fffffu, 0x7f800000u, 0x7f800001u, 0x7fc00000u}) {
    all.push_back(of_bits(bits));
    all.push_back(of_bits(bits | 0x80000000u));
  }
  return all;
}

}  // namespace

TEST(convert_element_is_exact) {
  for (int bits = 0; bits < kHalves; ++bits) {
    const double expected = meaning(bits);
    const float x = to_float(Half{static_cast<uint16_t>(bits)});
    check(is_same(x, static_cast<float>(expected)), "bits ", bits, " are ", x, ", expected ",
          expected);
    check(std::isnan(x) || to_half(x).bits == bits, "bits ", bits, " come back as ",
          to_half(x).bits);
  }
}

TEST(convert_element_rounds_to_nearest_even) {
  for (float x : floats()) {
    const uint16_t bits = to_half(x).bits;
    if (!std::isfinite(x) || std::abs(x) >= 65520.0f) {
      check(is_same(to_float(Half{bits}), std::isnan(x) ? x : std::copysign(INFINITY, x)), x,
            " gives bits ", bits);
      continue;
    }
    check(std::signbit(x) == (bits >> 15 != 0), x, " changes its sign");
    const double error = std::abs(meaning(bits) - x);
    for (int other : {(bits & 0x7fff) - 1, (bits & 0x7fff) + 1}) {
      if (other < 0 || other > 0x7bff) continue;
      const double distance = std::abs(meaning(other) - std::abs(x));
      check(error < distance || (error == distance && bits % 2 == 0), x, " gives bits ", bits);
    }
  }
}

TEST(convert_widen) {
  on_every_variant(kConvertVariants, [](const ConvertKernel& kernel) {
    const std::vector<Half> from = all_halves();
    std::vector<float> to(from.size());
    kernel.widen(from.data(), kHalves, to.data());
    for (int i = 0; i < kHalves; ++i) {
      check(is_same(to[i], to_float(from[i])), "bits ", i, " are ", to[i], ", expected ",
            to_float(from[i]));
    }
  });
}

TEST(convert_narrow) {
  const std::vector<float> from = floats();
  on_every_variant(kConvertVariants, [&](const ConvertKernel& kernel) {
    std::vector<Half> to(from.size());
    kernel.narrow(from.data(), static_cast<int64_t>(from.size()), to.data());
    for (std::size_t i = 0; i < from.size(); ++i) {
      check(is_same(to_float(to[i]), to_float(to_half(from[i]))), from[i], " gives bits ",
            to[i].bits, ", expected ", to_half(from[i]).bits);
    }
  });
}

TEST(convert_tails) {
  on_every_variant(kConvertVariants, [](const ConvertKernel& kernel) {
    for (int64_t count : kCounts) {
      for (Against side : {Against::kStart, Against::kEnd}) {
        Guarded<Half> halves(count, side), back(count, side);
        Guarded<float> wide(count, side);
        for (int64_t i = 0; i < count; ++i) halves[i] = to_half(static_cast<float>(i) - 40.5f);
        kernel.widen(halves.data(), count, wide.data());
        kernel.narrow(wide.data(), count, back.data());
        for (int64_t i = 0; i < count; ++i) {
          check(wide[i] == static_cast<float>(i) - 40.5f, count, " elements: ", i, " is ", wide[i]);
          check(back[i].bits == halves[i].bits, count, " elements: ", i, " comes back changed");
        }
      }
    }
  });
}
