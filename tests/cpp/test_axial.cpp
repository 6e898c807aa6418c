// The micro-kernels of squeeze-axial attention against float64.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/axial/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kEps = 0x1p-24;
constexpr int64_t kSizes[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33};

template <class T>
void fill(Guarded<T>& array, float scale = 1.0f) {
  std::mt19937 random(static_cast<unsigned>(array.size()));
  std::normal_distribution<float> normal(0.0f, scale);
  for (std::size_t i = 0; i < array.size(); ++i) array[i] = from_float<T>(normal(random));
}

template <class T>
void squeeze_case(const AxialKernel& kernel, int64_t width, int64_t channels, Against side) {
  const int64_t stride = channels + 3, column_stride = channels + 2;
  Guarded<T> input((width - 1) * stride + channels, side);
  Guarded<float> row(channels, side), column((width - 1) * column_stride + channels, side);
  fill(input);
  fill(column);
  const std::vector<float> before(column.data(), column.data() + column.size());
  AxialSqueeze args;
  args.input = {input.data(), stride};
  args.width = width;
  args.channels = channels;
  args.row_sum = row.data();
  args.column_sum = {column.data(), column_stride};
  kernel.squeeze(args);
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, magnitude = 0;
    for (int64_t x = 0; x < width; ++x) {
      const float value = to_float(input[x * stride + c]);
      sum += value, magnitude += std::abs(value);
      const int64_t at = x * column_stride + c;
      check(column[at] == before[at] + value, "column ", x, " channel ", c);
    }
    check(std::abs(row[c] - sum) <= width * kEps * magnitude, width, " pixels, channel ", c, ": ",
          row[c], ", expected ", sum);
  }
  for (std::size_t i = 0; i < column.size(); ++i) {
    const bool gap = static_cast<int64_t>(i) % column_stride >= channels;
    check(!gap || column[i] == before[i], "wrote between columns");
  }
}

struct Heads {
  int64_t length, key_dim, value_dim;
};

// What softmax attention is, and how far float32 may be from it.
void attend_case(const AxialKernel& kernel, const Heads& h, Against side, float scale = 0.5f,
                 float spread = 1.0f, float low = -kInfinity, float high = kInfinity) {
  const int64_t q_stride = h.key_dim + 1, v_stride = h.value_dim + 2;
  Guarded<float> q((h.length - 1) * q_stride + h.key_dim, side), k(q.size(), side);
  Guarded<float> v((h.length - 1) * v_stride + h.value_dim, side), output(v.size(), side);
  Guarded<float> scratch(axial_scratch_floats(h.length, h.key_dim), side);
  fill(q, spread);
  fill(k, spread);
  std::reverse(k.data(), k.data() + k.size());
  fill(v);
  AxialAttend args;
  args.q = {q.data(), q_stride};
  args.k = {k.data(), q_stride};
  args.v = {v.data(), v_stride};
  args.output = {output.data(), v_stride};
  args.length = h.length;
  args.key_dim = h.key_dim;
  args.value_dim = h.value_dim;
  args.scale = scale;
  args.low = low;
  args.high = high;
  args.scratch = scratch.data();
  kernel.attend(args);
  for (int64_t i = 0; i < h.length; ++i) {
    std::vector<double> score(h.length);
    double score_error = 0;
    for (int64_t j = 0; j < h.length; ++j) {
      double magnitude = 0;
      for (int64_t d = 0; d < h.key_dim; ++d) {
        const double term = double{q[i * q_stride + d]} * k[j * q_stride + d] * scale;
        score[j] += term, magnitude += std::abs(term);
      }
      score_error = std::max(score_error, (h.key_dim + 2) * kEps * magnitude);
    }
    const double top = *std::max_element(score.begin(), score.end());
    double total = 0;
    for (double& s : score) total += s = std::exp(s - top);
    for (int64_t c = 0; c < h.value_dim; ++c) {
      double sum = 0, magnitude = 0;
      for (int64_t j = 0; j < h.length; ++j) {
        const double term = score[j] / total * v[j * v_stride + c];
        sum += term, magnitude += std::abs(term);
      }
      // An error of a score is one of its weight, in numerator and denominator; then rounding.
      const double bound = (4 * score_error + (2.0 * h.length + 12) * kEps) * magnitude + 1e-37;
      sum = std::clamp(sum, double{low}, double{high});
      const float got = output[i * v_stride + c];
      check(std::abs(got - sum) <= bound, "length ", h.length, " keys ", h.key_dim, ": position ",
            i, " channel ", c, " is ", got, ", expected ", sum, " within ", bound);
    }
  }
}

// Attention with keys and values of one dimension, without bounds.
template <std::size_t length>
std::vector<float> attend_scalars(const AxialKernel& kernel, const float (&q)[length],
                                  const float (&k)[length], const float (&v)[length]) {
  std::vector<float> scratch(axial_scratch_floats(length, 1)), output(length);
  AxialAttend args;
  args.q = {q, 1};
  args.k = {k, 1};
  args.v = {v, 1};
  args.output = {output.data(), 1};
  args.length = length;
  args.key_dim = args.value_dim = 1;
  args.scratch = scratch.data();
  kernel.attend(args);
  return output;
}

float relu6(float x) { return x < 0 ? 0 : x > 6 ? 6 : x; }

template <class T>
void combine_case(const AxialKernel& kernel, int64_t width, int64_t channels, Against side) {
  const int64_t v_stride = channels + 3, output_stride = channels + 1;
  Guarded<T> v((width - 1) * v_stride + channels, side);
  Guarded<float> row(channels, side), column(width * channels, side);
  Guarded<T> output((width - 1) * output_stride + channels, side);
  fill(v, 3.0f);
  fill(row, 2.0f);
  fill(column, 2.0f);
  v[0] = from_float<T>(kNaN);
  v[v.size() - 1] = from_float<T>(kInfinity);
  const float untouched = 12288.0f;
  std::fill_n(output.data(), output.size(), from_float<T>(untouched));
  AxialCombine args;
  args.v = {v.data(), v_stride};
  args.row = row.data();
  args.column = column.data();
  args.output = {output.data(), output_stride};
  args.width = width;
  args.channels = channels;
  kernel.combine(args);
  for (std::size_t i = 0; i < output.size(); ++i) {
    const int64_t x = i / output_stride, c = i % output_stride;
    const float got = to_float(output[i]);
    if (c >= channels) {
      check(got == untouched, "wrote between pixels");
      continue;
    }
    const float sum = to_float(v[x * v_stride + c]) + row[c] + column[x * channels + c];
    const float expected = to_float(from_float<T>(relu6(sum)));
    check(got == expected || (std::isnan(expected) && std::isnan(got)), "pixel ", x, " channel ", c,
          " is ", got, ", expected ", expected);
  }
}

}  // namespace

TEST(axial_squeeze) {
  on_every_variant(kAxialVariants, [](const AxialKernel& kernel) {
    for (int64_t width : {1, 2, 5, 16}) {
      for (int64_t channels : kSizes) {
        for (Against side : {Against::kStart, Against::kEnd}) {
          with_zero_of(kernel.element, [&](auto zero) {
            squeeze_case<decltype(zero)>(kernel, width, channels, side);
          });
        }
      }
    }
  });
}

TEST(axial_attend) {
  on_every_variant(kAxialVariants, [](const AxialKernel& kernel) {
    for (int64_t length : kSizes) {
      for (const Heads& heads : {Heads{length, 1, 1}, Heads{length, 5, 9}, Heads{length, 16, 32},
                                 Heads{length, 24, 48}}) {
        for (Against side : {Against::kStart, Against::kEnd}) attend_case(kernel, heads, side);
      }
    }
    attend_case(kernel, {64, 16, 32}, Against::kEnd);
    // Scores so far apart that most weights vanish.
    attend_case(kernel, {33, 16, 32}, Against::kEnd, 4.0f, 5.0f);
    attend_case(kernel, {17, 16, 32}, Against::kEnd, 1.0f, 1.0f, 0.0f, 0.3f);
  });
}

TEST(axial_attend_weights_are_exponentials) {
  // One query of 1 and values of 1 and 0: the result is exp(x) / (1 + exp(x)), x the second key.
  on_every_variant(kAxialVariants, [](const AxialKernel& kernel) {
    const float q[2] = {1.0f, 1.0f}, v[2] = {0.0f, 1.0f};
    for (double x = -86.5; x <= 0; x += 0.0137) {
      const float k[2] = {0.0f, static_cast<float>(x)};
      const float got = attend_scalars(kernel, q, k, v)[0];
      const double e = std::exp(double{k[1]}), expected = e / (1 + e);
      check(std::abs(got - expected) <= 8 * kEps * expected, "exp of ", x, ": ", got, ", expected ",
            expected);
    }
  });
}

TEST(axial_attend_nan_and_infinity) {
  on_every_variant(kAxialVariants, [](const AxialKernel& kernel) {
    const float v[3] = {1.0f, 2.0f, 4.0f};
    const auto attend = [&](float q0, float k0, float k1, float k2) {
      const float q[3] = {q0, q0, q0}, k[3] = {k0, k1, k2};
      return attend_scalars(kernel, q, k, v)[0];
    };
    check(attend(1, -kInfinity, 0, 0) == 3.0f, "a score of -inf has no weight");
    check(attend(1, -kInfinity, 0, -kInfinity) == 2.0f, "one finite score takes all");
    check(std::isnan(attend(1, -kInfinity, -kInfinity, -kInfinity)), "nothing to share");
    check(std::isnan(attend(1, kInfinity, 0, 0)), "inf - inf");
    check(std::isnan(attend(1, 0, kNaN, 0)), "a NaN score spreads");
    check(std::isnan(attend(kNaN, 0, 0, 0)), "a NaN query spreads");
  });
}

TEST(axial_combine) {
  on_every_variant(kAxialVariants, [](const AxialKernel& kernel) {
    for (int64_t width : {1, 2, 5, 16}) {
      for (int64_t channels : kSizes) {
        for (Against side : {Against::kStart, Against::kEnd}) {
          with_zero_of(kernel.element, [&](auto zero) {
            combine_case<decltype(zero)>(kernel, width, channels, side);
          });
        }
      }
    }
  });
}
