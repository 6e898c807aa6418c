#include "blocks/upsample_argmax.h"

#include <algorithm>
#include <type_traits>

#include "blocks/resize_axis.h"
#include "core/pixels.h"
#include "core/workspace.h"
#include "kernels/convert/variants.h"
#include "kernels/upsample_argmax/variants.h"

namespace seaformer {
namespace {

// The two source rows that a task looks at, which neighbouring runs of outputs share.
struct SourceRows {
  const float* logits[2];  // the row, or its copy
  float* copy[2];          // room for that copy; null when rows are used where they are
  const int32_t* winners[2];
  int32_t* found[2];  // room for winners that nobody gave
  int64_t row[2];     // which row is held, or -1
};

struct Layout {
  ResizeAxis columns, rows;
  int32_t* identity;
  // One task's share.
  SourceRows source;
  float* scratch;
};

int64_t padded_classes(const UpsampleArgmaxShape& shape) {
  return std::max(shape.classes, kMinClasses);
}

bool rows_are_dense(const UpsampleArgmaxShape& shape, const Logits& logits) {
  return shape.classes >= kMinClasses && logits.class_stride == 1 &&
         (logits.column_stride == shape.classes || shape.in_width == 1);
}

bool rows_need_copies(const UpsampleArgmaxShape& shape, const Logits& logits) {
  return logits.element != Element::kF32 || !rows_are_dense(shape, logits);
}

// The arrays of one task behind the shared ones.
void lay_out_task(const UpsampleArgmaxShape& shape, const Logits& logits, Carver& carver,
                  Layout& layout) {
  const int64_t classes = padded_classes(shape);
  const bool copied = rows_need_copies(shape, logits);
  for (int k = 0; k < 2; ++k) {
    layout.source.copy[k] = copied ? carver.take<float>(shape.in_width * classes) : nullptr;
    layout.source.found[k] = carver.take<int32_t>(shape.in_width);
    layout.source.row[k] = -1;
  }
  layout.scratch = carver.take<float>(upsample_argmax_scratch_floats(classes));
}

Layout lay_out(const UpsampleArgmaxShape& shape, Carver& carver) {
  Layout layout{};
  layout.columns = make_resize_axis(shape.in_width, shape.out_width, carver, shape.align_corners);
  layout.rows = make_resize_axis(shape.in_height, shape.out_height, carver, shape.align_corners);
  layout.identity = carver.take<int32_t>(padded_classes(shape));
  return layout;
}

WorkerScratch take_scratch(const UpsampleArgmaxShape& shape, const Logits& logits, int64_t tasks,
                           Carver& carver) {
  Layout unused{};
  return {tasks, [&](Carver& own) { lay_out_task(shape, logits, own, unused); }, carver};
}

// A row as dense pixels of at least kMinClasses, copied in tiles that stay in the cache.
template <class T>
void copy_row(const UpsampleArgmaxShape& shape, const Logits& logits, const T* from, float* to) {
  constexpr int64_t kTile = 16;
  const int64_t classes = padded_classes(shape);
  for (int64_t x0 = 0; x0 < shape.in_width; x0 += kTile) {
    const int64_t x1 = std::min(x0 + kTile, shape.in_width);
    for (int64_t c0 = 0; c0 < shape.classes; c0 += kTile) {
      const int64_t c1 = std::min(c0 + kTile, shape.classes);
      for (int64_t c = c0; c < c1; ++c) {
        for (int64_t x = x0; x < x1; ++x) {
          to[x * classes + c] = to_float(from[c * logits.class_stride + x * logits.column_stride]);
        }
      }
    }
  }
  if (classes == shape.classes) return;
  for (int64_t x = 0; x < shape.in_width; ++x, to += classes) {
    std::fill_n(to + shape.classes, classes - shape.classes, to[0]);
  }
}

// A row of any element type, likewise.
void copy_row(const UpsampleArgmaxShape& shape, const Logits& logits, const void* from, float* to) {
  if (rows_are_dense(shape, logits)) {
    convert_kernel(logits.element).widen(from, shape.in_width * shape.classes, to);
  } else {
    with_zero_of(logits.element, [&](auto zero) {
      copy_row(shape, logits, static_cast<const decltype(zero)*>(from), to);
    });
  }
}

// The slot that holds `row`, after loading it into the slot that does not hold `keep`.
int hold_row(const UpsampleArgmaxKernel& kernel, const UpsampleArgmaxShape& shape,
             const Logits& logits, int64_t image, int64_t row, int64_t keep, SourceRows& source) {
  for (int slot = 0; slot < 2; ++slot) {
    if (source.row[slot] == row) return slot;
  }
  const int slot = source.row[0] == keep ? 1 : 0;
  const void* const there =
      after(logits.data, image * logits.image_stride + row * logits.row_stride, logits.element);
  const float* pixels = static_cast<const float*>(there);
  if (source.copy[slot] != nullptr) {
    copy_row(shape, logits, there, source.copy[slot]);
    pixels = source.copy[slot];
  }
  if (logits.winners != nullptr && source.copy[slot] == nullptr) {
    source.winners[slot] = logits.winners + (image * shape.in_height + row) * shape.in_width;
  } else {
    kernel.first_argmax(pixels, shape.in_width, padded_classes(shape), source.found[slot]);
    source.winners[slot] = source.found[slot];
  }
  source.logits[slot] = pixels;
  source.row[slot] = row;
  return slot;
}

}  // namespace

Logits channels_last(const void* data, const UpsampleArgmaxShape& shape, Element element) {
  const int64_t row = shape.in_width * shape.classes;
  return {data, shape.in_height * row, 1, row, shape.classes, nullptr, element};
}

std::size_t upsample_argmax_workspace(const UpsampleArgmaxShape& shape, const Logits& logits,
                                      int64_t threads) {
  Carver carver(nullptr);
  lay_out(shape, carver);
  take_scratch(shape, logits, threads, carver);
  return carver.used();
}

template <class Label>
void upsample_argmax(const UpsampleArgmaxShape& shape, const Logits& logits, Label* labels,
                     void* workspace, const Parallel& parallel) {
  const UpsampleArgmaxKernel& kernel = upsample_argmax_kernel();
  Carver carver(workspace);
  const Layout shared = lay_out(shape, carver);
  for (int64_t c = 0; c < padded_classes(shape); ++c) {
    shared.identity[c] = static_cast<int32_t>(c);
  }

  // Work is cut between runs of output rows; a task takes neighbouring runs, which share source
  // rows.
  const int64_t runs = shape.batch * shared.rows.run_count;
  const int64_t tasks = std::min(runs, parallel.threads());
  const WorkerScratch scratch = take_scratch(shape, logits, tasks, carver);
  parallel.run(tasks, [&](int64_t task) {
    Layout layout = shared;
    Carver own = scratch.of(task);
    lay_out_task(shape, logits, own, layout);
    SourceRows& source = layout.source;
    int64_t held_image = -1;
    for (int64_t i = runs * task / tasks; i < runs * (task + 1) / tasks; ++i) {
      const int64_t image = i / layout.rows.run_count;
      const ResizeRun& run = layout.rows.runs[i % layout.rows.run_count];
      if (image != held_image) source.row[0] = source.row[1] = -1;
      held_image = image;
      const int low = hold_row(kernel, shape, logits, image, run.low, run.high, source);
      const int high = hold_row(kernel, shape, logits, image, run.high, run.low, source);

      UpsampleArgmaxRows rows{};
      rows.low_logits = source.logits[low];
      rows.high_logits = source.logits[high];
      rows.low_winners = source.winners[low];
      rows.high_winners = source.winners[high];
      rows.classes = padded_classes(shape);
      rows.columns = layout.columns;
      rows.low_weight = layout.rows.low_weight + run.begin;
      rows.high_weight = layout.rows.high_weight + run.begin;
      rows.rows = run.end - run.begin;
      rows.label_stride = shape.out_width;
      rows.identity = layout.identity;
      rows.scratch = layout.scratch;
      Label* to = labels + (image * shape.out_height + run.begin) * shape.out_width;
      if constexpr (std::is_same_v<Label, uint8_t>) {
        kernel.rows_u8(rows, to);
      } else {
        kernel.rows_i32(rows, to);
      }
    }
  });
}

template void upsample_argmax(const UpsampleArgmaxShape&, const Logits&, uint8_t*, void*,
                              const Parallel&);
template void upsample_argmax(const UpsampleArgmaxShape&, const Logits&, int32_t*, void*,
                              const Parallel&);

}  // namespace seaformer
