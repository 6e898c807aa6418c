// Non-maximum suppression against a loop over all pairs.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "blocks/batched_nms.h"
#include "blocks/kept_boxes.h"
#include "box_reference.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "on_isas.h"
#include "threads.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;
using test::overlap;

namespace {

struct Problem {
  Guarded<float> boxes, scores;
  Guarded<int64_t> classes;

  Problem(int64_t count, int64_t class_count, Against side)
      : boxes(4 * count, side), scores(count, side), classes(count, side) {
    std::mt19937 random(static_cast<unsigned>(count * 7 + class_count));
    std::uniform_real_distribution<float> place(0, 100), extent(5, 40);
    for (int64_t i = 0; i < count; ++i) {
      const float x = place(random), y = place(random);
      const float box[] = {x, y, x + extent(random), y + extent(random)};
      std::copy_n(box, 4, boxes.data() + 4 * i);
      scores[i] = static_cast<float>(random() % 64) / 64 - 0.25f;  // many ties
      classes[i] = static_cast<int64_t>(random() % class_count) * 1000000000000 - 5;
    }
    const float special[] = {NAN, INFINITY, -INFINITY, -0.0f, 0.0f, -NAN};
    for (int64_t i = 0; i < count; i += 9) scores[i] = special[i / 9 % 6];
    for (int64_t i = 4; i < count; i += 13) boxes[4 * i + i % 4] = special[i % 3];
  }

  std::vector<int64_t> expected(double threshold) const {
    std::vector<int64_t> order(scores.size()), kept;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      const bool a_nan = std::isnan(scores[a]), b_nan = std::isnan(scores[b]);
      return a_nan || b_nan ? a_nan && !b_nan : scores[a] > scores[b];
    });
    for (const int64_t i : order) {
      const bool suppressed = std::any_of(kept.begin(), kept.end(), [&](int64_t k) {
        return classes[k] == classes[i] &&
               overlap(boxes.data() + 4 * k, boxes.data() + 4 * i) > threshold;
      });
      if (!suppressed) kept.push_back(i);
    }
    return kept;
  }
};

void run_case(int64_t count, int64_t class_count, double threshold, int64_t threads, Against side) {
  const Problem problem(count, class_count, side);
  const test::Threads parallel(threads);
  Guarded<unsigned char> workspace(batched_nms_workspace(count, threads), Against::kEnd);
  Guarded<int64_t> kept(count, side);
  const int64_t n = batched_nms(problem.boxes.data(), problem.scores.data(), problem.classes.data(),
                                count, threshold, kept.data(), workspace.data(), parallel);
  const std::vector<int64_t> expected = problem.expected(threshold);
  check(std::vector<int64_t>(kept.data(), kept.data() + n) == expected, count, " boxes of ",
        class_count, " classes, threshold ", threshold, ", ", threads, " threads: kept ", n,
        ", expected ", expected.size(), " or others");
}

}  // namespace

TEST(batched_nms_against_all_pairs) {
  test::on_every_isa([] {
    for (int64_t count : {0, 1, 2, 15, 16, 17, 65, 300}) {
      for (int64_t class_count : {1, 3, 50}) {
        for (double threshold : {0.0, 0.3, 0.5, 1.0}) {
          for (Against side : {Against::kStart, Against::kEnd}) {
            run_case(count, class_count, threshold, 1, side);
          }
        }
      }
    }
  });
}

TEST(batched_nms_on_threads) {
  for (int64_t class_count : {1, 2, 7, 500}) {
    run_case(7000, class_count, 0.5, 3, Against::kEnd);
  }
}

// torchvision compares float32 overlaps with a threshold of float64.
TEST(batched_nms_thresholds_round_down) {
  for (double threshold : {0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1e-300}) {
    const float limit = rounded_down(threshold);
    check(limit <= threshold && std::nextafter(limit, 2.0f) > threshold, threshold,
          " rounded down is ", limit);
  }
}
