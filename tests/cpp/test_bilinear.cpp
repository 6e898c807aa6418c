// The bilinear micro-kernels against their definition in float64.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "blocks/resize_axis.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "kernels/bilinear/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::on_every_variant;
using test::storage_error;

namespace {

constexpr double kEps = 0x1p-24;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

template <class T>
void fill(Guarded<T>& array, std::mt19937& random) {
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < array.size(); ++i) array[i] = from_float<T>(normal(random));
}

struct Axis {
  Axis(int64_t in, int64_t out) : memory(size(in, out)) {
    Carver carver(memory.data());
    axis = make_resize_axis(in, out, carver);
  }
  static std::size_t size(int64_t in, int64_t out) {
    Carver carver(nullptr);
    make_resize_axis(in, out, carver);
    return carver.used();
  }
  Workspace memory;
  ResizeAxis axis;
};

// How far `operations` roundings of what amounts to `magnitude` may lead from a result.
template <class T>
double error_bound(const BilinearKernel& kernel, int operations, double magnitude, double result) {
  if (kernel.sums == Element::kF16) {  // to which the weights are rounded too
    return (operations + 1) * std::ldexp(magnitude, -11) + std::ldexp(1.0, -22);
  }
  const double bound = operations * kEps * magnitude + 1e-37;
  return bound + storage_error<T>(std::abs(result) + bound);
}

template <class T>
void run_multiply(const BilinearKernel& kernel, int64_t in, int64_t out, int64_t begin, int64_t end,
                  int64_t channels, int64_t gap, bool shifts, Against side) {
  std::mt19937 random(static_cast<unsigned>(in * 31 + out * 7 + channels));
  const Axis columns(in, out);
  const int64_t step = channels + gap;
  Guarded<T> row(in * channels, side), output((end - begin - 1) * step + channels, side);
  Guarded<float> shift(channels, side);
  fill(row, random);
  fill(shift, random);
  fill(output, random);
  std::vector<float> before(output.size());
  for (std::size_t i = 0; i < output.size(); ++i) before[i] = to_float(output[i]);
  BilinearMultiply args;
  args.row = row.data();
  args.runs = find_run(columns.axis, begin);
  args.low_weight = columns.axis.low_weight;
  args.high_weight = columns.axis.high_weight;
  args.begin = begin;
  args.end = end;
  args.output = {output.data(), step};
  if (shifts) args.shift = shift.data();
  args.channels = channels;
  kernel.multiply(args);
  for (int64_t x = begin; x < end; ++x) {
    const ResizeRun& run = *find_run(columns.axis, x);
    check(run.begin <= x && x < run.end, "no run holds column ", x);
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = (x - begin) * step + c;
      const double low = double{columns.axis.low_weight[x]} * to_float(row[run.low * channels + c]);
      const double high =
          double{columns.axis.high_weight[x]} * to_float(row[run.high * channels + c]);
      double expected = before[at] * (low + high);
      double magnitude = std::abs(before[at]) * (std::abs(low) + std::abs(high));
      if (shifts) {
        expected = std::max(expected + shift[c], 0.0);
        magnitude += std::abs(shift[c]);
      }
      const double bound = error_bound<T>(kernel, 4, magnitude, expected);  // products and sums
      const float got = to_float(output[at]);
      check(std::abs(got - expected) <= bound, in, " to ", out, ", ", channels, " channels, from ",
            begin, ": column ", x, " channel ", c, " is ", got, ", expected ", expected, " within ",
            bound);
    }
    for (int64_t i = (x - begin) * step + channels; i < (x - begin + 1) * step && x + 1 < end;
         ++i) {
      check(to_float(output[i]) == before[i], "wrote between columns ", x, " and ", x + 1);
    }
  }
}

template <class T>
void run_blend(const BilinearKernel& kernel, int64_t count, Against side) {
  std::mt19937 random(3);
  Guarded<T> low(count, side), high(count, side), output(count, side);
  fill(low, random);
  fill(high, random);
  kernel.blend(low.data(), high.data(), 0.3f, 0.7f, count, output.data());
  for (int64_t i = 0; i < count; ++i) {
    const double a = double{0.3f} * to_float(low[i]), b = double{0.7f} * to_float(high[i]);
    const double bound = error_bound<T>(kernel, 2, std::abs(a) + std::abs(b), a + b);
    const float got = to_float(output[i]);
    check(std::abs(got - (a + b)) <= bound, count, " elements: ", i, " is ", got, ", expected ",
          a + b, " within ", bound);
  }
}

template <class T>
void run_resize(const BilinearKernel& kernel, const Axis& columns, int64_t out, int64_t begin,
                int64_t channels, Against side) {
  std::mt19937 random(7);
  // The row has the columns that are looked at, and no other.
  const int64_t first = find_run(columns.axis, begin)->low;
  const int64_t last = find_run(columns.axis, out - 1)->high, step = channels + 3;
  Guarded<T> row((last - first + 1) * channels, side);
  Guarded<T> output((out - begin - 1) * step + channels, side);
  fill(row, random);
  std::fill_n(output.data(), output.size(), from_float<T>(kNaN));  // is not read
  BilinearResize args;
  args.row = row.data();
  args.first = first;
  args.runs = find_run(columns.axis, begin);
  args.low_weight = columns.axis.low_weight;
  args.high_weight = columns.axis.high_weight;
  args.begin = begin, args.end = out;
  args.output = {output.data(), step};
  args.channels = channels;
  kernel.resize(args);
  for (int64_t x = begin; x < out; ++x) {
    const ResizeRun& run = *find_run(columns.axis, x);
    for (int64_t c = 0; c < step && (x + 1 < out || c < channels); ++c) {
      const float got = to_float(output[(x - begin) * step + c]);
      if (c >= channels) {
        check(std::isnan(got), "wrote behind column ", x);
        continue;
      }
      const double low =
          double{columns.axis.low_weight[x]} * to_float(row[(run.low - first) * channels + c]);
      const double high =
          double{columns.axis.high_weight[x]} * to_float(row[(run.high - first) * channels + c]);
      const double bound = error_bound<T>(kernel, 2, std::abs(low) + std::abs(high), low + high);
      check(std::abs(got - (low + high)) <= bound, "to ", out, ": column ", x, " channel ", c,
            " is ", got, ", expected ", low + high, " within ", bound);
    }
  }
}

// As in PyTorch: an infinity is lost to a weight of zero, and NaN to nothing.
template <class T>
void run_special(const BilinearKernel& kernel, float value) {
  const std::vector<T> ones(20, from_float<T>(1.0f)), low(20, from_float<T>(value));
  const std::vector<float> zeros(20, 0.0f);
  std::vector<T> output(20);
  kernel.blend(low.data(), ones.data(), 0.0f, 1.0f, 20, output.data());
  for (T y : output) check(std::isnan(to_float(y)), value, " with weight 0 gives ", to_float(y));
  kernel.blend(ones.data(), low.data(), 0.5f, 0.5f, 20, output.data());
  for (T stored : output) {
    const float y = to_float(stored);
    check(std::isnan(value) ? std::isnan(y) : y == value, value, " gives ", y);
  }
  const Axis columns(1, 1);
  output = ones;
  BilinearMultiply args;
  args.row = low.data();
  args.runs = columns.axis.runs;
  args.low_weight = columns.axis.low_weight;
  args.high_weight = columns.axis.high_weight;
  args.end = 1;
  args.output = {output.data(), 20};
  args.shift = zeros.data();
  args.channels = 20;
  kernel.multiply(args);
  for (T y : output) {
    check(std::isnan(to_float(y)), value, " on an equal size gives ", to_float(y));
  }
}

// Calls body with each variant and a zero of its element type.
template <class Body>
void on_every_element(const Body& body) {
  on_every_variant(kBilinearVariants, [&](const BilinearKernel& kernel) {
    with_zero_of(kernel.element, [&](auto zero) { body(kernel, zero); });
  });
}

}  // namespace

TEST(bilinear_blend) {
  on_every_element([](const BilinearKernel& kernel, auto zero) {
    for (int64_t count : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 67}) {
      for (Against side : {Against::kStart, Against::kEnd}) {
        run_blend<decltype(zero)>(kernel, count, side);
      }
    }
  });
}

TEST(bilinear_resize) {
  on_every_element([](const BilinearKernel& kernel, auto zero) {
    const int64_t sizes[][2] = {{1, 1}, {1, 2}, {5, 5}, {4, 8}, {3, 13}, {7, 3}, {9, 1}};
    for (const auto& [in, out] : sizes) {
      const Axis columns(in, out);
      for (int64_t channels : {int64_t{1}, kernel.lanes, kernel.lanes + 1, int64_t{37}}) {
        for (const int64_t begin : {int64_t{0}, out / 2}) {
          for (Against side : {Against::kStart, Against::kEnd}) {
            run_resize<decltype(zero)>(kernel, columns, out, begin, channels, side);
          }
        }
      }
    }
  });
}

TEST(bilinear_multiply) {
  on_every_element([](const BilinearKernel& kernel, auto zero) {
    using T = decltype(zero);
    const int64_t sizes[][2] = {{1, 1}, {1, 5}, {5, 5}, {4, 8}, {3, 13}, {7, 3}, {9, 1}};
    for (const auto& [in, out] : sizes) {
      for (int64_t channels : {int64_t{1}, int64_t{3}, kernel.lanes, kernel.lanes + 1,
                               2 * kernel.lanes - 1, int64_t{37}, int64_t{70}}) {
        for (Against side : {Against::kStart, Against::kEnd}) {
          for (bool shifts : {false, true}) {
            run_multiply<T>(kernel, in, out, 0, out, channels, 0, shifts, side);
            run_multiply<T>(kernel, in, out, out / 3, out - out / 4, channels, 5, shifts, side);
          }
        }
      }
    }
  });
}

TEST(bilinear_special_values) {
  on_every_element([](const BilinearKernel& kernel, auto zero) {
    for (float value : {kNaN, kInf, -kInf}) run_special<decltype(zero)>(kernel, value);
  });
}
