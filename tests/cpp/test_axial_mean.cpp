// Means of rows and columns against their definition in float64.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "blocks/axial_mean.h"
#include "check.h"
#include "guarded.h"
#include "on_isas.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;

namespace {

// Pixels and positions stand `gap` floats further apart than there are channels.
void run_case(int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t gap,
              Against side) {
  const int64_t pixel = channels + gap, count = batch * height * width;
  Guarded<float> input((count - 1) * pixel + channels, side);
  std::mt19937 random(static_cast<unsigned>(height * 31 + width * 7 + channels));
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = normal(random);
  PixelMaps maps = dense_maps(input.data(), {batch, height, width}, pixel);
  maps.channels = channels;

  const auto at = [&](int64_t image, int64_t y, int64_t x, int64_t c) {
    return double{input[((image * height + y) * width + x) * pixel + c]};
  };
  // Sums of n terms, and a division: (n + 1) units of half an eps each.
  const auto compare = [&](const Guarded<float>& got, int64_t length, int64_t terms, bool rows) {
    for (int64_t i = 0; i < batch * length; ++i) {
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0, magnitude = 0;
        for (int64_t j = 0; j < terms; ++j) {
          const int64_t image = i / length, k = i % length;
          const double term = rows ? at(image, k, j, c) : at(image, j, k, c);
          sum += term, magnitude += std::abs(term);
        }
        const double n = static_cast<double>(terms);
        const double error = std::abs(got[i * pixel + c] - sum / n);
        const double bound = (n + 1) * 0x1p-24 * magnitude / n + 1e-30;
        check(error <= bound, batch, "x", height, "x", width, "x", channels,
              rows ? " row " : " column ", i, " channel ", c, " is ", got[i * pixel + c],
              ", expected ", sum / n);
      }
    }
  };
  test::on_every_isa([&] {
    for (int64_t threads : {1, 2, 5}) {
      Guarded<float> rows((batch * height - 1) * pixel + channels, side);
      Guarded<float> columns((batch * width - 1) * pixel + channels, side);
      axial_mean(maps, rows.data(), columns.data(), pixel, test::Threads(threads));
      compare(rows, height, width, true);
      compare(columns, width, height, false);
      float untouched;
      std::memset(&untouched, 0xAB, sizeof untouched);
      for (int64_t i = 0; i + 1 < batch * height && gap > 0; ++i) {
        check(std::memcmp(&rows[i * pixel + channels], &untouched, sizeof untouched) == 0,
              "a float between positions was written");
      }
    }
  });
}

}  // namespace

TEST(axial_mean_sizes) {
  for (Against side : {Against::kStart, Against::kEnd}) {
    for (int64_t channels : {1, 3, 15, 16, 17, 33, 40}) {
      for (auto [height, width] : {std::pair{1, 1}, {1, 7}, {5, 1}, {8, 8}, {7, 13}}) {
        run_case(2, height, width, channels, 0, side);
        run_case(1, height, width, channels, 5, side);
      }
    }
  }
}

TEST(axial_mean_nan_stays_in_its_row_and_column) {
  test::on_every_isa([] {
    std::vector<float> input(4 * 5 * 3, 1.0f), rows(4 * 3), columns(5 * 3);
    input[(2 * 5 + 1) * 3] = std::nanf("");
    axial_mean(dense_maps(input.data(), {1, 4, 5}, 3), rows.data(), columns.data(), 3,
               Sequential());
    for (int i = 0; i < 12; ++i) check(std::isnan(rows[i]) == (i == 2 * 3), "row ", i);
    for (int i = 0; i < 15; ++i) check(std::isnan(columns[i]) == (i == 1 * 3), "column ", i);
  });
}
