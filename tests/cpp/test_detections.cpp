// Detections against a decoder that stores all scores and compares all pairs.
#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <vector>

#include "blocks/detections.h"
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

namespace {

constexpr int64_t kAnchors = 3;
constexpr float kSizes[][2] = {{20, 30}, {33, 12}, {8, 9}, {50, 70}, {64, 31}, {90, 90}};

struct Found {
  float score, box[4];
  int64_t its_class, level, index;
};

// A map of rows and images with gaps between them.
template <class T>
struct Maps {
  Guarded<T> values;
  PixelMaps view;

  Maps(const MapShape& shape, int64_t channels, int64_t gap, Against side)
      : values(size(shape, channels, gap), side),
        view(dense_maps(values.data(), shape, channels, kElementOf<T>)) {
    view.pixel_stride = channels + gap;
    view.row_stride = shape.width * view.pixel_stride + gap;
    view.image_stride = shape.height * view.row_stride + gap;
  }
  static int64_t size(const MapShape& s, int64_t channels, int64_t gap) {
    const int64_t row = s.width * (channels + gap) + gap;
    return s.batch * (s.height * row + gap);
  }
  T& at(int64_t image, int64_t y, int64_t x, int64_t channel) {
    return values[image * view.image_stride + y * view.row_stride + x * view.pixel_stride +
                  channel];
  }
};

template <class T>
struct Problem {
  DetectionShape shape;
  std::deque<Maps<T>> class_maps, box_maps;
  std::vector<DetectionLevel> levels;

  Problem(const DetectionShape& s, const std::vector<std::pair<int64_t, int64_t>>& sizes,
          int64_t gap, bool special, Against side)
      : shape(s) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (const auto& [height, width] : sizes) {
      const MapShape map{s.batch, height, width};
      class_maps.emplace_back(map, s.anchors * s.classes, gap, side);
      box_maps.emplace_back(map, s.anchors * 4, gap, side);
    }
    constexpr float kSpecial[] = {NAN, INFINITY, -INFINITY, 0, 3e4f};
    const auto fill = [&](Maps<T>& maps, float scale) {
      for (std::size_t i = 0; i < maps.values.size(); ++i) {
        // Of few values, so that there are ties.
        const float x = std::round(normal(random) * 8) / 8 * scale;
        maps.values[i] = from_float<T>(special && random() % 16 == 0 ? kSpecial[random() % 5] : x);
      }
    };
    for (std::size_t l = 0; l < sizes.size(); ++l) {
      fill(class_maps[l], 2), fill(box_maps[l], 0.5f);
      levels.push_back(
          {class_maps[l].view, box_maps[l].view, kSizes[kAnchors * (l % 2)], int64_t{8} << l});
    }
  }

  Found decoded(int64_t l, int64_t image, int64_t y, int64_t x, int64_t a, int64_t c) {
    const float logit = to_float(class_maps[l].at(image, y, x, a * shape.classes + c));
    Found found{};
    found.score = static_cast<float>(1 / (1 + std::exp(-static_cast<double>(logit))));
    found.its_class = c, found.level = l;
    found.index =
        ((y * class_maps[l].view.shape.width + x) * shape.anchors + a) * shape.classes + c;
    const float cell[2] = {static_cast<float>(x * levels[l].stride),
                           static_cast<float>(y * levels[l].stride)};
    const float side[2] = {static_cast<float>(shape.width), static_cast<float>(shape.height)};
    for (int k = 0; k < 2; ++k) {
      const float size = levels[l].anchors[2 * a + k];
      float log_scale = to_float(box_maps[l].at(image, y, x, 4 * a + 2 + k));
      if (log_scale > std::log(1000.0 / 16)) log_scale = static_cast<float>(std::log(1000.0 / 16));
      const volatile float moved = to_float(box_maps[l].at(image, y, x, 4 * a + k)) * size;
      const volatile float centre = moved + cell[k];
      const volatile float extent =
          size * static_cast<float>(std::exp(static_cast<double>(log_scale)));
      const volatile float half = 0.5f * extent;
      for (int end = 0; end < 2; ++end) {
        const volatile float edge = end == 0 ? centre - half : centre + half;
        found.box[2 * end + k] = edge < 0 ? 0 : edge > side[k] ? side[k] : edge;
      }
    }
    return found;
  }

  std::vector<Found> expected(int64_t image) {
    std::vector<Found> all;
    const auto by_score = [](const Found& a, const Found& b) { return a.score > b.score; };
    for (std::size_t l = 0; l < levels.size(); ++l) {
      std::vector<Found> some;
      const MapShape& map = levels[l].class_map.shape;
      for (int64_t y = 0; y < map.height; ++y) {
        for (int64_t x = 0; x < map.width; ++x) {
          for (int64_t a = 0; a < shape.anchors; ++a) {
            for (int64_t c = 0; c < shape.classes; ++c) {
              const Found found = decoded(static_cast<int64_t>(l), image, y, x, a, c);
              if (found.score > shape.score_threshold) some.push_back(found);
            }
          }
        }
      }
      std::stable_sort(some.begin(), some.end(), by_score);
      if (static_cast<int64_t>(some.size()) > shape.top_k) some.resize(shape.top_k);
      all.insert(all.end(), some.begin(), some.end());
    }
    std::stable_sort(all.begin(), all.end(), by_score);
    std::vector<Found> kept;
    for (const Found& found : all) {
      const bool suppressed = std::any_of(kept.begin(), kept.end(), [&](const Found& other) {
        return other.its_class == found.its_class &&
               test::overlap(other.box, found.box) > shape.iou_threshold;
      });
      if (!suppressed && static_cast<int64_t>(kept.size()) < shape.max_detections) {
        kept.push_back(found);
      }
    }
    return kept;
  }
};

bool same(float a, float b) { return a == b || (a != a && b != b); }

template <class T>
void run_case(const DetectionShape& shape, const std::vector<std::pair<int64_t, int64_t>>& sizes,
              int64_t gap, bool special, int64_t threads, Against side) {
  Problem<T> problem(shape, sizes, gap, special, side);
  const auto levels = static_cast<int64_t>(problem.levels.size());
  const test::Threads parallel(threads);
  const int64_t most = shape.max_detections;
  Guarded<float> boxes(shape.batch * most * 4, side), scores(shape.batch * most, side);
  Guarded<int64_t> classes(shape.batch * most, side), counts(shape.batch, side);
  Guarded<unsigned char> workspace(
      detections_workspace(shape, problem.levels.data(), levels, threads), Against::kEnd);
  decode_detections(shape, problem.levels.data(), levels,
                    {boxes.data(), scores.data(), classes.data(), counts.data()}, workspace.data(),
                    parallel);
  for (int64_t image = 0; image < shape.batch; ++image) {
    const std::vector<Found> expected = problem.expected(image);
    const auto count = static_cast<int64_t>(expected.size());
    check(counts[image] == count, "image ", image, " has ", counts[image], " detections, expected ",
          count);
    for (int64_t i = 0; i < most; ++i) {
      const Found wanted = i < count ? expected[i] : Found{};
      const int64_t at = image * most + i;
      bool right = scores[at] == wanted.score && classes[at] == wanted.its_class;
      for (int k = 0; k < 4; ++k) right &= same(boxes[4 * at + k], wanted.box[k]);
      check(right, "image ", image, ", detection ", i, " of ", count, ": class ", classes[at],
            " with score ", scores[at], ", expected ", wanted.its_class, " with ", wanted.score);
    }
  }
}

template <class T>
void run_type() {
  const DetectionShape few{2, kAnchors, 5, 100, 90, 0.6f, 20, 0.5, 15};
  const DetectionShape all{1, kAnchors, 1, 64, 64, 0.0f, 100000, 0.3, 200};
  const DetectionShape none{3, kAnchors, 2, 64, 64, 1.0f, 10, 0.5, 4};
  const DetectionShape never{1, kAnchors, 7, 64, 80, 0.3f, 50, 1.0, 60};
  for (const Against side : {Against::kStart, Against::kEnd}) {
    for (const bool special : {false, true}) {
      run_case<T>(few, {{13, 12}, {7, 6}, {4, 3}}, 0, special, 1, side);
      run_case<T>(few, {{13, 12}, {7, 6}, {4, 3}}, 3, special, 3, side);
      run_case<T>(all, {{8, 8}, {1, 1}}, 1, special, 2, side);
      run_case<T>(none, {{8, 8}}, 0, special, 2, side);
      run_case<T>(never, {{8, 10}, {4, 5}}, 0, special, 4, side);
    }
  }
}

}  // namespace

TEST(detections_of_float32) { test::on_every_isa(run_type<float>); }
TEST(detections_of_float16) { test::on_every_isa(run_type<Half>); }
TEST(detections_of_bfloat16) { test::on_every_isa(run_type<BFloat16>); }

// More logits pass than are selected at a time, so that the threshold rises on the way.
TEST(detections_of_a_large_map) {
  const DetectionShape shape{1, kAnchors, 20, 512, 512, 0.05f, 100, 0.5, 100};
  for (int64_t threads : {1, 3}) {
    run_case<float>(shape, {{40, 40}}, 0, false, threads, Against::kEnd);
  }
}

TEST(detections_of_no_image) {
  run_case<float>({0, kAnchors, 2, 64, 64}, {{8, 8}}, 0, false, 2, Against::kEnd);
}
