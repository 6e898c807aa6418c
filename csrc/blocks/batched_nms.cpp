#include "blocks/batched_nms.h"

#include <algorithm>
#include <cstring>

#include "blocks/kept_boxes.h"

namespace seaformer {
namespace {

// A box by its class and a key: the upper half falls as the score rises, the lower is its index.
struct Entry {
  int64_t its_class;
  uint64_t key;
  int64_t index() const { return static_cast<int64_t>(key & 0xffffffff); }
};
constexpr uint64_t kSuppressed = ~uint64_t{0};  // no key: NaN has the least, not the last

bool before(const Entry& a, const Entry& b) {
  return a.its_class != b.its_class ? a.its_class < b.its_class : a.key < b.key;
}

uint64_t key_of(float score, int64_t index) {
  if (score != score) return static_cast<uint64_t>(index);
  const float signed_zero_gone = score + 0.0f;
  uint32_t bits;
  std::memcpy(&bits, &signed_zero_gone, sizeof bits);
  const uint32_t falling = bits >> 31 != 0 ? bits : ~bits & 0x7fffffff;
  return static_cast<uint64_t>(falling) << 32 | static_cast<uint64_t>(index);
}

struct Layout {
  Entry* entries;
  uint64_t* keys;  // of those kept
  WorkerScratch kept;
};

// Below so many boxes a thread takes longer to start than they do.
constexpr int64_t kBoxesOfThread = 2048;

int64_t task_count(int64_t count, int64_t threads) {
  return std::max<int64_t>(1, std::min(threads, count / kBoxesOfThread));
}

Layout lay_out(int64_t count, int64_t threads, Carver& carver) {
  Layout layout{};
  layout.entries = carver.take<Entry>(count);
  layout.keys = carver.take<uint64_t>(count);
  layout.kept = {task_count(count, threads), [&](Carver& own) { KeptBoxes(count, own); }, carver};
  return layout;
}

}  // namespace

std::size_t batched_nms_workspace(int64_t count, int64_t threads) {
  Carver carver(nullptr);
  lay_out(count, threads, carver);
  return carver.used();
}

int64_t batched_nms(const float* boxes, const float* scores, const int64_t* classes, int64_t count,
                    double threshold, int64_t* kept, void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  const Layout layout = lay_out(count, parallel.threads(), carver);
  Entry* const entries = layout.entries;
  for (int64_t i = 0; i < count; ++i) entries[i] = {classes[i], key_of(scores[i], i)};
  std::sort(entries, entries + count, before);

  const BoxOverlapKernel& kernel = box_overlap_kernel();
  const float limit = rounded_down(threshold);
  const int64_t tasks = task_count(count, parallel.threads());
  // The first entry of a class from where a task's share would begin.
  const auto begin_of = [&](int64_t task) {
    int64_t i = count * task / tasks;
    while (i > 0 && i < count && entries[i].its_class == entries[i - 1].its_class) ++i;
    return i;
  };
  parallel.run(tasks, [&](int64_t task) {
    Carver own = layout.kept.of(task);
    KeptBoxes list(count, own);
    const int64_t begin = begin_of(task), end = begin_of(task + 1);
    for (int64_t i = begin; i < end; ++i) {
      if (i > begin && entries[i].its_class != entries[i - 1].its_class) list.clear();
      Box box;
      std::memcpy(&box, boxes + 4 * entries[i].index(), sizeof box);
      if (list.suppress(kernel, box, 0, limit)) {
        entries[i].key = kSuppressed;
      } else {
        list.add(box, 0);
      }
    }
  });

  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (entries[i].key != kSuppressed) layout.keys[n++] = entries[i].key;
  }
  std::sort(layout.keys, layout.keys + n);
  for (int64_t i = 0; i < n; ++i) kept[i] = static_cast<int64_t>(layout.keys[i] & 0xffffffff);
  return n;
}

}  // namespace seaformer
