// The overlaps of a box with a list of boxes, against their definition.
#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "box_reference.h"
#include "check.h"
#include "guarded.h"
#include "kernels/box_overlap/variants.h"
#include "on_variants.h"

using namespace seaformer;
using test::Against;
using test::check;
using test::Guarded;

namespace {

float overlap(const Box& a, const Box& b) { return test::overlap(&a.left, &b.left); }

// A box around a few places, or one with a special value.
Box random_box(std::mt19937& random) {
  std::uniform_real_distribution<float> place(0, 40), extent(1, 20);
  const float x = place(random), y = place(random);
  Box box{x, y, x + extent(random), y + extent(random)};
  float* const edges[] = {&box.left, &box.top, &box.right, &box.bottom};
  const float special[] = {NAN, INFINITY, -INFINITY, 0, 1e30f};
  if (random() % 8 == 0) *edges[random() % 4] = special[random() % 5];
  if (random() % 16 == 0) std::swap(box.left, box.right);
  return box;
}

// Lists of boxes that end where memory does.
struct List {
  std::deque<Guarded<float>> arrays;
  List(int64_t count, Against where) {
    const int64_t room = (count + kBoxBlock - 1) / kBoxBlock * kBoxBlock;
    for (int k = 0; k < 6; ++k) {
      arrays.emplace_back(room, where);
      std::fill_n(arrays.back().data(), room, 0.0f);
    }
  }
  void set(int64_t i, const Box& box, float group) {
    const float values[] = {box.left, box.top, box.right, box.bottom, box_area(box), group};
    for (int k = 0; k < 6; ++k) arrays[k][i] = values[k];
  }
  BoxList view() const {
    return {arrays[0].data(), arrays[1].data(), arrays[2].data(),
            arrays[3].data(), arrays[4].data(), arrays[5].data()};
  }
};

}  // namespace

// At thresholds that are overlaps themselves, so that one bit decides.
TEST(box_overlap_sizes_and_special_values) {
  test::on_every_variant(kBoxOverlapVariants, [](const BoxOverlapKernel& kernel) {
    for (int64_t count : {1, 2, 15, 16, 17, 33, 64}) {
      for (Against where : {Against::kStart, Against::kEnd}) {
        std::mt19937 random(static_cast<unsigned>(count));
        for (int repeat = 0; repeat < 20; ++repeat) {
          List list(count, where);
          const Box box = random_box(random);
          std::vector<float> overlaps;
          for (int64_t i = 0; i < count; ++i) {
            const Box other = random() % 8 == 0 ? box : random_box(random);
            const auto group = static_cast<float>(random() % 3);
            list.set(i, other, group);
            if (group == 1 && overlap(box, other) >= 0) overlaps.push_back(overlap(box, other));
          }
          std::vector<float> thresholds{0.0f, 0.5f, 1.0f};
          if (!overlaps.empty()) {
            const float most = *std::max_element(overlaps.begin(), overlaps.end());
            thresholds.push_back(most);
            thresholds.push_back(std::nextafter(most, 0.0f));
          }
          for (float threshold : thresholds) {
            const bool expected = std::any_of(overlaps.begin(), overlaps.end(),
                                              [&](float x) { return x > threshold; });
            check(kernel.any_above(box, 1, list.view(), count, threshold) == expected, count,
                  " boxes, threshold ", threshold, ": expected ", expected ? "one" : "none");
          }
        }
      }
    }
    check(!kernel.any_above({0, 0, 1, 1}, 0, {}, 0, 0), "an empty list holds an overlap");
  });
}
