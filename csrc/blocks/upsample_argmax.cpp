#include "blocks/upsample_argmax.h"

#include <algorithm>
#include <type_traits>

#include "blocks/resize_axis.h"
#include "core/workspace.h"
#include "kernels/upsample_argmax/variants.h"

namespace seaformer {
namespace {

// The two source rows that a task looks at, which neighbouring runs of outputs share.
struct SourceRows {
  const float* logits[2];  // the row, or its copy with padded classes
  float* padded[2];        // room for that copy; null when no class needs padding
  int32_t* winners[2];
  int64_t row[2];  // which row is held, or -1
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

// The arrays of one task behind the shared ones; each task starts on its own cache line.
void lay_out_task(const UpsampleArgmaxShape& shape, Carver& carver, Layout& layout) {
  const int64_t classes = padded_classes(shape);
  for (int k = 0; k < 2; ++k) {
    layout.source.padded[k] =
        classes == shape.classes ? nullptr : carver.take<float>(shape.in_width * classes);
    layout.source.winners[k] = carver.take<int32_t>(shape.in_width);
    layout.source.row[k] = -1;
  }
  layout.scratch = carver.take<float>(upsample_argmax_scratch_floats(classes));
}

Layout lay_out(const UpsampleArgmaxShape& shape, Carver& carver) {
  Layout layout{};
  layout.columns = make_resize_axis(shape.in_width, shape.out_width, carver);
  layout.rows = make_resize_axis(shape.in_height, shape.out_height, carver);
  layout.identity = carver.take<int32_t>(padded_classes(shape));
  return layout;
}

// The slot that holds `row`, after loading it into the slot that does not hold `keep`.
int hold_row(const UpsampleArgmaxKernel& kernel, const UpsampleArgmaxShape& shape,
             const float* image, int64_t row, int64_t keep, SourceRows& source) {
  for (int slot = 0; slot < 2; ++slot) {
    if (source.row[slot] == row) return slot;
  }
  const int slot = source.row[0] == keep ? 1 : 0;
  const float* logits = image + row * shape.in_width * shape.classes;
  const int64_t classes = padded_classes(shape);
  if (float* to = source.padded[slot]) {
    for (int64_t x = 0; x < shape.in_width; ++x, logits += shape.classes, to += classes) {
      std::copy_n(logits, shape.classes, to);
      std::fill_n(to + shape.classes, classes - shape.classes, logits[0]);
    }
    logits = source.padded[slot];
  }
  kernel.first_argmax(logits, shape.in_width, classes, source.winners[slot]);
  source.logits[slot] = logits;
  source.row[slot] = row;
  return slot;
}

}  // namespace

std::size_t upsample_argmax_workspace(const UpsampleArgmaxShape& shape, int64_t threads) {
  Carver carver(nullptr);
  Layout layout = lay_out(shape, carver);
  for (int64_t task = 0; task < threads; ++task) lay_out_task(shape, carver, layout);
  return carver.used();
}

template <class Label>
void upsample_argmax(const UpsampleArgmaxShape& shape, const float* logits, Label* labels,
                     void* workspace, const Parallel& parallel) {
  const UpsampleArgmaxKernel& kernel = upsample_argmax_kernel();
  Carver carver(workspace);
  const Layout shared = lay_out(shape, carver);
  for (int64_t c = 0; c < padded_classes(shape); ++c) {
    shared.identity[c] = static_cast<int32_t>(c);
  }
  const std::size_t shared_bytes = carver.used();
  Carver task_size(nullptr);
  Layout unused{};
  lay_out_task(shape, task_size, unused);

  // Work is cut between runs of output rows; a task takes neighbouring runs, which share source
  // rows.
  const int64_t runs = shape.batch * shared.rows.run_count;
  const int64_t tasks = std::min(runs, parallel.threads());
  parallel.run(tasks, [&](int64_t task) {
    Layout layout = shared;
    Carver own(static_cast<unsigned char*>(workspace) + shared_bytes + task * task_size.used());
    lay_out_task(shape, own, layout);
    SourceRows& source = layout.source;
    int64_t held_image = -1;
    for (int64_t i = runs * task / tasks; i < runs * (task + 1) / tasks; ++i) {
      const int64_t image = i / layout.rows.run_count;
      const ResizeRun& run = layout.rows.runs[i % layout.rows.run_count];
      if (image != held_image) source.row[0] = source.row[1] = -1;
      held_image = image;
      const float* pixels = logits + image * shape.in_height * shape.in_width * shape.classes;
      const int low = hold_row(kernel, shape, pixels, run.low, run.high, source);
      const int high = hold_row(kernel, shape, pixels, run.high, run.low, source);

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

template void upsample_argmax(const UpsampleArgmaxShape&, const float*, uint8_t*, void*,
                              const Parallel&);
template void upsample_argmax(const UpsampleArgmaxShape&, const float*, int32_t*, void*,
                              const Parallel&);

}  // namespace seaformer
