#include "blocks/doubled_rows.h"

#include "blocks/resize_axis.h"

namespace seaformer {

DoubledRows::DoubledRows(const MapShape& shape, int64_t channels, Element element,
                         const void* input, Carver& carver)
    : shape_(shape),
      channels_(channels),
      element_(element),
      input_(input),
      vertical_(make_resize_axis(shape.height, 2 * shape.height, carver)),
      horizontal_(make_resize_axis(shape.width, 2 * shape.width, carver)),
      kernel_(bilinear_kernel(element)) {}

void DoubledRows::fill(const Part& part, const OutPixels& to, void* scratch) const {
  const ResizeRun& rows = *find_run(vertical_, part.row);
  BilinearResize args;
  args.runs = find_run(horizontal_, part.first);
  // The columns that the part looks at: fewer than it has, or 3.
  args.first = args.runs->low;
  const int64_t columns = find_run(horizontal_, part.last - 1)->high - args.first + 1;
  const auto row = [&](int64_t y) {
    const int64_t pixel = (part.image * shape_.height + y) * shape_.width + args.first;
    return after(input_, pixel * channels_, element_);
  };
  kernel_.blend(row(rows.low), row(rows.high), vertical_.low_weight[part.row],
                vertical_.high_weight[part.row], columns * channels_, scratch);
  args.row = scratch;
  args.low_weight = horizontal_.low_weight;
  args.high_weight = horizontal_.high_weight;
  args.begin = part.first;
  args.end = part.last;
  args.output = to;
  args.channels = channels_;
  kernel_.resize(args);
}

}  // namespace seaformer
