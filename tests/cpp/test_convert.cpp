// The conversions between float32 and other types against core/element.h, and that against its
// meaning.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "blocks/convert_elements.h"
#include "check.h"
#include "guarded.h"
#include "kernels/convert/variants.h"
#include "on_variants.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;

namespace {

constexpr int kCodes = 1 << 16;  // of a type of 16 bits
constexpr int64_t kCounts[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 131};

template <class T>
constexpr int kFractionBits = kElementOf<T> == Element::kF16 ? 10 : 7;
template <class T>
constexpr int kBias = kElementOf<T> == Element::kF16 ? 15 : 127;  // of exponents
template <class T>
constexpr int kInfinity = (2 * kBias<T> + 1) << kFractionBits<T>;  // its bits

// What the bits mean.
template <class T>
double meaning(int bits) {
  constexpr int kOnes = 1 << kFractionBits<T>;
  const int exponent = (bits & 0x7fff) / kOnes, fraction = bits % kOnes;
  const double sign = bits >> 15 ? -1.0 : 1.0;
  if (exponent == 2 * kBias<T> + 1) return fraction ? NAN : sign * INFINITY;
  const int least = 1 - kBias<T> - kFractionBits<T>;
  if (exponent == 0) return sign * std::ldexp(fraction, least);
  return sign * std::ldexp(kOnes + fraction, exponent - 1 + least);
}

float of_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

bool is_same(float a, float b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

template <class T>
std::vector<T> all_of() {
  std::vector<T> all(kCodes);
  for (int i = 0; i < kCodes; ++i) all[i].bits = static_cast<uint16_t>(i);
  return all;
}

// What lies halfway to the next number, for the largest one to what would follow it.
template <class T>
double tie_above(int bits) {
  const bool largest = (bits & 0x7fff) == kInfinity<T> - 1;
  const double x = meaning<T>(bits);
  const double next =
      largest ? std::copysign(std::ldexp(1.0, kBias<T> + 1), x) : meaning<T>(bits + 1);
  return (x + next) / 2;
}

// Each number of the type, what lies halfway to the next, and the floats beside both; then any
// bits.
template <class T>
std::vector<float> floats() {
  std::vector<float> all;
  for (int bits = 0; bits < kCodes; ++bits) {
    const float x = static_cast<float>(meaning<T>(bits));
    all.push_back(x);
    if (!std::isfinite(x)) continue;
    for (float at : {x, static_cast<float>(tie_above<T>(bits))}) {
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

// Calls body with a zero of each type of 16 bits.
template <class Body>
void each_type(const Body& body) {
  body(Half{});
  body(BFloat16{});
}

// Calls body with each variant of a kernel and a zero of its type, if that has 16 bits.
template <class Body>
void each_variant(const Body& body) {
  on_every_variant(kConvertVariants, [&](const ConvertKernel& kernel) {
    if (kernel.element == Element::kF16) body(kernel, Half{});
    if (kernel.element == Element::kBF16) body(kernel, BFloat16{});
  });
}

}  // namespace

TEST(convert_element_is_exact) {
  each_type([](auto zero) {
    using T = decltype(zero);
    for (int bits = 0; bits < kCodes; ++bits) {
      const double expected = meaning<T>(bits);
      const float x = to_float(T{static_cast<uint16_t>(bits)});
      check(is_same(x, static_cast<float>(expected)), "bits ", bits, " are ", x, ", expected ",
            expected);
      check(std::isnan(x) || from_float<T>(x).bits == bits, "bits ", bits, " come back as ",
            from_float<T>(x).bits);
    }
  });
}

TEST(convert_element_rounds_to_nearest_even) {
  each_type([](auto zero) {
    using T = decltype(zero);
    for (float x : floats<T>()) {
      const uint16_t bits = from_float<T>(x).bits;
      if (!std::isfinite(x) || std::abs(x) >= tie_above<T>(kInfinity<T> - 1)) {
        check(is_same(to_float(T{bits}), std::isnan(x) ? x : std::copysign(INFINITY, x)), x,
              " gives bits ", bits);
        continue;
      }
      check(std::signbit(x) == (bits >> 15 != 0), x, " changes its sign");
      const double error = std::abs(meaning<T>(bits) - x);
      for (int other : {(bits & 0x7fff) - 1, (bits & 0x7fff) + 1}) {
        if (other < 0 || other >= kInfinity<T>) continue;
        const double distance = std::abs(meaning<T>(other) - std::abs(x));
        check(error < distance || (error == distance && bits % 2 == 0), x, " gives bits ", bits);
      }
    }
  });
}

TEST(convert_widen) {
  each_variant([](const ConvertKernel& kernel, auto zero) {
    const auto from = all_of<decltype(zero)>();
    std::vector<float> to(from.size());
    kernel.widen(from.data(), kCodes, to.data());
    for (int i = 0; i < kCodes; ++i) {
      check(is_same(to[i], to_float(from[i])), "bits ", i, " are ", to[i], ", expected ",
            to_float(from[i]));
    }
  });
}

TEST(convert_narrow) {
  each_variant([](const ConvertKernel& kernel, auto zero) {
    using T = decltype(zero);
    const std::vector<float> from = floats<T>();
    std::vector<T> to(from.size());
    kernel.narrow(from.data(), static_cast<int64_t>(from.size()), to.data());
    for (std::size_t i = 0; i < from.size(); ++i) {
      const T expected = from_float<T>(from[i]);
      check(is_same(to_float(to[i]), to_float(expected)), from[i], " gives bits ", to[i].bits,
            ", expected ", expected.bits);
    }
  });
}

TEST(convert_tails) {
  on_every_variant(kConvertVariants, [](const ConvertKernel& kernel) {
    with_zero_of(kernel.element, [&](auto zero) {
      using T = decltype(zero);
      for (int64_t count : kCounts) {
        for (Against side : {Against::kStart, Against::kEnd}) {
          Guarded<T> stored(count, side), back(count, side);
          Guarded<float> wide(count, side);
          const auto number = [](int64_t i) { return static_cast<float>(i) - 40.5f; };
          for (int64_t i = 0; i < count; ++i) stored[i] = from_float<T>(number(i));
          kernel.widen(stored.data(), count, wide.data());
          kernel.narrow(wide.data(), count, back.data());
          for (int64_t i = 0; i < count; ++i) {
            check(wide[i] == number(i), count, " elements: ", i, " is ", wide[i]);
            check(to_float(back[i]) == number(i), count, " elements: ", i, " comes back changed");
          }
        }
      }
    });
  });
}

TEST(convert_elements_between_any_types) {
  const int64_t count = 5000;  // more than one thread's and one chunk's
  for (const Element from_type : kElements) {
    for (const Element to_type : kElements) {
      for (const int64_t threads : {1, 3}) {
        std::vector<float> from(count), to(count);  // room for any type
        std::vector<float> numbers(count);
        for (int64_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(i % 256) - 100;
        with_zero_of(from_type, [&](auto zero) {
          using T = decltype(zero);
          for (int64_t i = 0; i < count; ++i) {
            reinterpret_cast<T*>(from.data())[i] = from_float<T>(numbers[i]);
          }
        });
        convert_elements(count, {from_type}, from.data(), {to_type}, to.data(),
                         test::Threads(threads));
        with_zero_of(to_type, [&](auto zero) {
          for (int64_t i = 0; i < count; ++i) {
            const float got = to_float(reinterpret_cast<decltype(zero)*>(to.data())[i]);
            check(got == numbers[i], element_name(from_type), " to ", element_name(to_type),
                  ": element ", i, " is ", got, ", expected ", numbers[i]);
          }
        });
      }
    }
  }
}
