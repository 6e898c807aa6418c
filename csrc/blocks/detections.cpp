#include "blocks/detections.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "blocks/kept_boxes.h"
#include "kernels/logit_scan/variants.h"

namespace seaformer {
namespace {

// exp, but for 2^-53, which is far below what float32 holds of it where it counts: of expm1, since
// the exp of glibc 2.29 and later is not that of older ones.
double exp_of(float x) { return 1.0 + std::expm1(double{x}); }

// Of float32, rising with its argument: rounding leaves nothing of the error of exp.
float sigmoid(float x) { return static_cast<float>(1.0 / (1.0 + exp_of(-x))); }

// float32 numbers in their order, counted from -0 and 0.
int32_t rank_of(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits < 0 ? INT32_MIN - bits : bits;
}
float of_rank(int32_t rank) {
  const int32_t bits = rank < 0 ? INT32_MIN - rank : rank;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// The least logit whose score exceeds a threshold; NaN, which no logit reaches, if there is none.
// So logits tell what scores would, without a sigmoid.
float least_logit_above(float threshold) {
  if (!(sigmoid(INFINITY) > threshold)) return NAN;
  int64_t low = rank_of(-INFINITY), high = rank_of(INFINITY);  // whose score is not above, and is
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (sigmoid(of_rank(static_cast<int32_t>(middle))) > threshold ? high : low) = middle;
  }
  return of_rank(static_cast<int32_t>(high));
}

// A score and an index of a logit in its map; the better ones are less.
uint64_t key_of(float score, int64_t index) {
  uint32_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  return uint64_t{0x7fffffff - bits} << 32 | static_cast<uint64_t>(index);
}
float score_of(uint64_t key) {
  const uint32_t bits = 0x7fffffff - static_cast<uint32_t>(key >> 32);
  float score;
  std::memcpy(&score, &bits, sizeof score);
  return score;
}
int64_t index_of(uint64_t key) { return static_cast<int64_t>(key & 0xffffffff); }

constexpr int64_t kChunk = 1024;  // logits that are scanned at a time

// The best keys of those given, in room for selection_room(most).
int64_t selection_room(int64_t most) { return most + std::max(most, kChunk) + kChunk; }

struct Selection {
  uint64_t* keys;
  int64_t most;
  int64_t count = 0;

  bool drop_worse() {
    if (count <= most) return false;
    std::nth_element(keys, keys + most - 1, keys + count);
    count = most;
    return true;
  }
};

// What a worker scans with.
struct Scan {
  int32_t* found;  // [kChunk]
  float* values;   // [kChunk]
  uint64_t* keys;

  Scan(int64_t most, Carver& carver)
      : found(carver.take<int32_t>(kChunk)),
        values(carver.take<float>(kChunk)),
        keys(carver.take<uint64_t>(selection_room(most))) {}
};

// A detection before it is decoded.
struct Candidate {
  uint64_t key;
  int64_t level;
};
bool better(const Candidate& a, const Candidate& b) {
  const uint64_t score_of_a = a.key >> 32, score_of_b = b.key >> 32;
  if (score_of_a != score_of_b) return score_of_a < score_of_b;
  return a.level != b.level ? a.level < b.level : a.key < b.key;
}

int64_t logits_of(const DetectionLevel& level) {
  return level.class_map.shape.height * level.class_map.shape.width * level.class_map.channels;
}

// One call: images are cut into slices of rows of every level, so that all threads have some.
struct Work {
  const DetectionShape& shape;
  const DetectionLevel* levels;
  int64_t level_count;
  int64_t slices;  // of an image

  Work(const DetectionShape& s, const DetectionLevel* all, int64_t count, int64_t threads)
      : shape(s),
        levels(all),
        level_count(count),
        slices(s.batch >= threads || s.batch == 0 ? 1 : (threads + s.batch - 1) / s.batch) {}

  int64_t most_of(const DetectionLevel& level) const {
    return std::min(shape.top_k, logits_of(level));
  }
  int64_t most_of_a_level() const {
    int64_t most = 0;
    for (int64_t l = 0; l < level_count; ++l) most = std::max(most, most_of(levels[l]));
    return most;
  }
  // Of all levels together, in a slice or an image.
  int64_t most_of_all() const {
    int64_t sum = 0;
    for (int64_t l = 0; l < level_count; ++l) sum += most_of(levels[l]);
    return sum;
  }
};

// What a worker decodes an image with.
struct Decoding {
  uint64_t* keys;         // of one level, from all slices
  Candidate* candidates;  // of all levels
  KeptBoxes kept;

  Decoding(const Work& work, Carver& carver)
      : keys(carver.take<uint64_t>(work.slices * work.most_of_a_level())),
        candidates(carver.take<Candidate>(work.most_of_all())),
        kept(std::min(work.most_of_all(), work.shape.max_detections), carver) {}
};

struct Layout {
  uint64_t* keys;   // the best of each slice, level behind level
  int64_t* counts;  // of each slice and level
  WorkerScratch scans, decodings;
};

Layout lay_out(const Work& work, int64_t threads, Carver& carver) {
  const int64_t slices = work.shape.batch * work.slices;
  Layout layout{};
  layout.keys = carver.take<uint64_t>(slices * work.most_of_all());
  layout.counts = carver.take<int64_t>(slices * work.level_count);
  layout.scans = {std::min(threads, slices),
                  [&](Carver& own) { Scan(work.most_of_a_level(), own); }, carver};
  layout.decodings = {std::min(threads, work.shape.batch),
                      [&](Carver& own) { Decoding(work, own); }, carver};
  return layout;
}

// Looks at logits that lie one behind the other, the first of which has an index in the map.
void scan_run(const LogitScanKernel& kernel, const void* logits, int64_t count, int64_t first,
              const Scan& scan, float& least, Selection& selection) {
  for (int64_t i = 0; i < count; i += kChunk) {
    const int64_t n = kernel.at_least(after(logits, i, kernel.element), std::min(kChunk, count - i),
                                      least, scan.found, scan.values);
    for (int64_t j = 0; j < n; ++j) {
      selection.keys[selection.count++] =
          key_of(sigmoid(scan.values[j]), first + i + scan.found[j]);
    }
    if (selection.count > selection_room(selection.most) - kChunk && selection.drop_worse()) {
      // What follows has a higher index, and must have a higher score.
      least = least_logit_above(score_of(selection.keys[selection.most - 1]));
    }
  }
}

// The best of the rows [begin, end) of a class map.
Selection scan_rows(const PixelMaps& map, int64_t image, int64_t begin, int64_t end, float least,
                    int64_t most, const Scan& scan) {
  const LogitScanKernel& kernel = logit_scan_kernel(map.element);
  Selection selection{scan.keys, most};
  const int64_t row_logits = map.shape.width * map.channels;
  const bool rows_are_dense = map.pixel_stride == map.channels || map.shape.width == 1;
  const int64_t run = !rows_are_dense                ? map.channels
                      : map.row_stride == row_logits ? (end - begin) * row_logits
                                                     : row_logits;
  for (int64_t i = begin * row_logits; i < end * row_logits; i += run) {
    const InPixels row = map.row(image, i / row_logits, 0);
    const void* const from = after(row.data, i % row_logits / map.channels * row.stride);
    scan_run(kernel, from, run, i, scan, least, selection);
  }
  selection.drop_worse();
  return selection;
}

float clipped(float x, int64_t side) {
  const auto end = static_cast<float>(side);
  return x < 0 ? 0 : x > end ? end : x;  // NaN stays
}

// The box of a logit of a level.
Box decode(const DetectionShape& shape, const DetectionLevel& level, int64_t image, int64_t index) {
  const int64_t anchor = index / shape.classes % shape.anchors;
  const int64_t pixel = index / level.class_map.channels;
  const int64_t y = pixel / level.box_map.shape.width, x = pixel % level.box_map.shape.width;
  const InPixels row = level.box_map.row(image, y, 4 * anchor);
  float delta[4] = {};
  with_zero_of(level.box_map.element, [&](auto zero) {
    const auto* at = static_cast<const decltype(zero)*>(after(row.data, x * row.stride));
    for (int k = 0; k < 4; ++k) delta[k] = to_float(at[k]);
  });
  constexpr float kMostLog = 4.135166556742356f;  // log(1000 / 16)
  const float* const size = level.anchors + 2 * anchor;
  const int64_t cell[2] = {x * level.stride, y * level.stride};
  float centre[2], half[2];
  for (int k = 0; k < 2; ++k) {
    const float log_scale = delta[2 + k] > kMostLog ? kMostLog : delta[2 + k];  // NaN stays
    centre[k] = delta[k] * size[k] + static_cast<float>(cell[k]);
    half[k] = 0.5f * (size[k] * static_cast<float>(exp_of(log_scale)));
  }
  return {clipped(centre[0] - half[0], shape.width), clipped(centre[1] - half[1], shape.height),
          clipped(centre[0] + half[0], shape.width), clipped(centre[1] + half[1], shape.height)};
}

// Merges the slices of an image; returns how many candidates there are.
int64_t gather(const Work& work, const Layout& layout, int64_t image, const Decoding& decoding) {
  int64_t n = 0, offset = 0;
  for (int64_t l = 0; l < work.level_count; ++l) {
    Selection selection{decoding.keys, work.most_of(work.levels[l])};
    for (int64_t s = 0; s < work.slices; ++s) {
      const int64_t slice = image * work.slices + s;
      const uint64_t* keys = layout.keys + slice * work.most_of_all() + offset;
      const int64_t count = layout.counts[slice * work.level_count + l];
      std::copy_n(keys, count, selection.keys + selection.count);
      selection.count += count;
    }
    selection.drop_worse();
    for (int64_t i = 0; i < selection.count; ++i) {
      decoding.candidates[n++] = {selection.keys[i], l};
    }
    offset += selection.most;
  }
  return n;
}

// Writes the detections of an image.
void decode_image(const Work& work, const Layout& layout, int64_t image, Decoding& decoding,
                  const Detections& to) {
  const DetectionShape& shape = work.shape;
  const int64_t most = shape.max_detections;
  float* const boxes = to.boxes + image * most * 4;
  float* const scores = to.scores + image * most;
  int64_t* const classes = to.classes + image * most;
  const BoxOverlapKernel& kernel = box_overlap_kernel();
  const float threshold = rounded_down(shape.iou_threshold);
  const int64_t count = gather(work, layout, image, decoding);
  Candidate* const candidates = decoding.candidates;
  KeptBoxes& kept = decoding.kept;
  kept.clear();
  // Candidates are put in order as far as they are looked at, a part at a time.
  for (int64_t begin = 0, end = 0; begin < count && kept.count() < most; begin = end) {
    const int64_t kPart = 512;
    end = std::min(begin + kPart, count);
    if (end < count) {
      std::nth_element(candidates + begin, candidates + end, candidates + count, better);
    }
    std::sort(candidates + begin, candidates + end, better);
    for (int64_t i = begin; i < end && kept.count() < most; ++i) {
      const int64_t index = index_of(candidates[i].key);
      const int64_t its_class = index % shape.classes;
      const auto group = static_cast<float>(its_class);
      const Box box = decode(shape, work.levels[candidates[i].level], image, index);
      if (kept.suppress(kernel, box, group, threshold)) continue;
      const int64_t n = kept.count();
      std::memcpy(boxes + 4 * n, &box, sizeof box);
      scores[n] = score_of(candidates[i].key);
      classes[n] = its_class;
      kept.add(box, group);
    }
  }
  const int64_t n = kept.count();
  std::fill(boxes + 4 * n, boxes + 4 * most, 0.0f);
  std::fill(scores + n, scores + most, 0.0f);
  std::fill(classes + n, classes + most, 0);
  to.counts[image] = n;
}

}  // namespace

std::size_t detections_workspace(const DetectionShape& shape, const DetectionLevel* levels,
                                 int64_t level_count, int64_t threads) {
  Carver carver(nullptr);
  lay_out(Work(shape, levels, level_count, threads), threads, carver);
  return carver.used();
}

void decode_detections(const DetectionShape& shape, const DetectionLevel* levels,
                       int64_t level_count, const Detections& detections, void* workspace,
                       const Parallel& parallel) {
  const Work work(shape, levels, level_count, parallel.threads());
  Carver carver(workspace);
  const Layout layout = lay_out(work, parallel.threads(), carver);
  const float least = least_logit_above(shape.score_threshold);

  const int64_t slices = shape.batch * work.slices;
  const int64_t scanning = std::min(parallel.threads(), slices);
  parallel.run(scanning, [&](int64_t task) {
    Carver own = layout.scans.of(task);
    const Scan scan(work.most_of_a_level(), own);
    for (int64_t i = slices * task / scanning; i < slices * (task + 1) / scanning; ++i) {
      const int64_t image = i / work.slices, slice = i % work.slices;
      uint64_t* keys = layout.keys + i * work.most_of_all();
      for (int64_t l = 0; l < level_count; ++l) {
        const PixelMaps& map = levels[l].class_map;
        const int64_t most = work.most_of(levels[l]), rows = map.shape.height;
        const Selection best = scan_rows(map, image, rows * slice / work.slices,
                                         rows * (slice + 1) / work.slices, least, most, scan);
        std::copy_n(best.keys, best.count, keys);
        layout.counts[i * level_count + l] = best.count;
        keys += most;
      }
    }
  });

  const int64_t decoding = std::min(parallel.threads(), shape.batch);
  parallel.run(decoding, [&](int64_t task) {
    Carver own = layout.decodings.of(task);
    Decoding of_worker(work, own);
    for (int64_t image = shape.batch * task / decoding; image < shape.batch * (task + 1) / decoding;
         ++image) {
      decode_image(work, layout, image, of_worker, detections);
    }
  });
}

}  // namespace seaformer
