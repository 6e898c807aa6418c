#include "blocks/classification_head.h"

#include <algorithm>

#include "blocks/block_kind.h"
#include "blocks/few_pixels.h"
#include "blocks/section_reader.h"
#include "core/workspace.h"
#include "kernels/convert/variants.h"

namespace seaformer {
namespace {

// What threads need to average images.
struct Scratch {
  float* row;     // sums of a row of pixels
  float* pixels;  // those of a row as float32, if they are not
};

Scratch take_scratch(const MapShape& shape, const PackedHeader& packed, Carver& carver) {
  const bool is_float = element_of(packed) == Element::kF32;
  return {carver.take<float>(packed.in_channels),
          carver.take<float>(is_float ? 0 : shape.width * packed.in_channels)};
}

struct Layout {
  Layout(const MapShape& shape, const PackedHeader& packed, int64_t threads, Carver& carver)
      : means(carver.take<float>(shape.batch * packed.in_channels)),
        linear(element_of(packed), packed.in_channels, threads),
        averaging(std::min(shape.batch, threads)),
        scratch(averaging, [&](Carver& own) { take_scratch(shape, packed, own); }, carver) {
    linear.take(carver);
    const bool is_float = element_of(packed) == Element::kF32;
    logits = carver.take<float>(is_float ? 0 : shape.batch * packed.out_channels);
  }
  float* means;
  FewPixels linear;
  int64_t averaging;  // threads
  WorkerScratch scratch;
  float* logits;  // if what is wanted is not float32
};

// Means of every channel. Rows are summed first, which rounds less than one long sum.
void mean_pixel(const MapShape& shape, const PackedHeader& packed, const void* input,
                const Scratch& scratch, float* mean) {
  const Element element = element_of(packed);
  const int64_t channels = packed.in_channels;
  float* const row = scratch.row;
  std::fill_n(mean, channels, 0.0f);
  for (int64_t y = 0; y < shape.height; ++y) {
    const float* pixel = static_cast<const float*>(input);
    if (element != Element::kF32) {
      convert_kernel(element).widen(input, shape.width * channels, scratch.pixels);
      pixel = scratch.pixels;
    }
    std::fill_n(row, channels, 0.0f);
    for (int64_t x = 0; x < shape.width; ++x, pixel += channels) {
      for (int64_t c = 0; c < channels; ++c) row[c] += pixel[c];
    }
    for (int64_t c = 0; c < channels; ++c) mean[c] += row[c];
    input = after(input, shape.width * channels, element);
  }
  const float pixels = static_cast<float>(shape.height * shape.width);
  for (int64_t c = 0; c < channels; ++c) mean[c] /= pixels;
}

}  // namespace

std::size_t classification_head_workspace(const MapShape& shape, const PackedHeader& packed,
                                          int64_t threads) {
  Carver carver(nullptr);
  const Layout layout(shape, packed, threads, carver);
  return carver.used();
}

void classification_head(const MapShape& shape, const PackedHeader& packed, const void* input,
                         void* logits, void* workspace, const Parallel& parallel) {
  const int64_t in = packed.in_channels, out = packed.out_channels;
  const Element element = element_of(packed);
  Carver carver(workspace);
  const Layout layout(shape, packed, parallel.threads(), carver);
  parallel.run(layout.averaging, [&](int64_t worker) {
    Carver own = layout.scratch.of(worker);
    const Scratch scratch = take_scratch(shape, packed, own);
    const int64_t end = shape.batch * (worker + 1) / layout.averaging;
    for (int64_t image = shape.batch * worker / layout.averaging; image < end; ++image) {
      mean_pixel(shape, packed, after(input, image * shape.height * shape.width * in, element),
                 scratch, layout.means + image * in);
    }
  });

  float* const sums = element == Element::kF32 ? static_cast<float*>(logits) : layout.logits;
  Pointwise args;
  args.input = {layout.means, in};
  args.weights = packed_sections(packed);
  args.output = {sums, out};
  args.pixels = shape.batch;
  args.in_channels = in;
  args.out_channels = out;
  layout.linear.run(args, parallel);
  if (element != Element::kF32) {
    convert_kernel(element).narrow(sums, shape.batch * out, logits);
  }
}

namespace {

// Sections: pointwise(in, out).
class ClassificationHeadKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    return Sections(w).pointwise(w.in_channels, w.out_channels);
  }
  MapSize output_size(const PackedHeader& w, const MapSize& input) const override {
    return {{input.batch, 1, 1}, w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return classification_head_workspace(call.input, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    classification_head(call.input, call.weights, arrays.input, arrays.output, arrays.workspace,
                        parallel);
  }
};

}  // namespace

const BlockKind& classification_head_kind() {
  static constexpr ClassificationHeadKind kKind;
  return kKind;
}

}  // namespace seaformer
