#include "blocks/stem.h"

#include <algorithm>
#include <iterator>

#include "blocks/block_kind.h"
#include "blocks/quantized_stem_rows.h"
#include "blocks/stem_rows.h"
#include "core/panel.h"
#include "core/require.h"
#include "core/workspace.h"
#include "kernels/pointwise/variants.h"

namespace seaformer {
namespace {

StemImages planar(const void* data, bool bytes, const MapShape& shape) {
  StemImages images;
  images.data = data;
  images.bytes = bytes;
  images.channel_stride = shape.height * shape.width;
  images.image_stride = 3 * images.channel_stride;
  images.row_stride = shape.width;
  images.column_stride = 1;
  return images;
}

StemImages interleaved(const void* data, bool bytes, const MapShape& shape) {
  StemImages images;
  images.data = data;
  images.bytes = bytes;
  images.channel_stride = 1;
  images.column_stride = 3;
  images.row_stride = 3 * shape.width;
  images.image_stride = shape.height * images.row_stride;
  return images;
}

unsigned char* take_row(const MapShape& shape, Carver& carver) {
  return carver.take<unsigned char>(StemRows::kScratch * stem_out(shape.width));
}

WorkerScratch take_rows(const MapShape& shape, int64_t workers, Carver& carver) {
  return {workers, [&](Carver& own) { take_row(shape, own); }, carver};
}

}  // namespace

StemImages planar_images(const float* data, const MapShape& shape) {
  return planar(data, false, shape);
}

StemImages planar_images(const uint8_t* data, const MapShape& shape) {
  return planar(data, true, shape);
}

StemImages interleaved_images(const float* data, const MapShape& shape) {
  return interleaved(data, false, shape);
}

StemImages interleaved_images(const uint8_t* data, const MapShape& shape) {
  return interleaved(data, true, shape);
}

bool normalizes(const PackedHeader& stem) {
  if ((stem.flags & kPackedNormalizes) != 0 || is_int8(stem)) {
    return (stem.flags & kPackedNormalizes) != 0;
  }
  constexpr float kNothing[] = {0, 0, 0, 1, 1, 1};  // means and inverse standard deviations
  SectionReader sections = stem_sections(stem);
  sections.pointwise(27, stem.out_channels);
  return !std::equal(std::begin(kNothing), std::end(kNothing), sections.array(6));
}

namespace {

void run_rows(const MapShape& shape, const PackedHeader& packed, const RowSource& source,
              void* output, Carver& carver, const Parallel& parallel) {
  const Element element = element_of(packed);
  const int64_t height = stem_out(shape.height), width = stem_out(shape.width);
  const int64_t out = packed.out_channels;
  const int64_t rows = shape.batch * height, workers = std::min(rows, parallel.threads());
  const WorkerScratch scratch = take_rows(shape, workers, carver);
  parallel.run(workers, [&](int64_t worker) {
    Carver own = scratch.of(worker);
    void* const row = take_row(shape, own);
    const int64_t begin = rows * worker / workers, end = rows * (worker + 1) / workers;
    for (int64_t i = begin; i < end; ++i) {
      source.fill({i / height, i % height, 0, width, i > begin && i % height > 0},
                  {after(output, i * width * out, element), out, element}, row);
    }
  });
}

}  // namespace

std::size_t stem_workspace(const MapShape& shape, const PackedHeader& packed, int64_t threads) {
  Carver carver(nullptr);
  if (!is_int8(packed)) StemRows::take_shared(shape, packed, carver);
  take_rows(shape, threads, carver);
  return carver.used();
}

void stem(const MapShape& shape, const PackedHeader& packed, const StemImages& images, void* output,
          void* workspace, const Parallel& parallel) {
  Carver carver(workspace);
  if (is_int8(packed)) {
    const QuantizedStemRows source(shape, packed, images, Int8Output::kInt8);
    return run_rows(shape, packed, source, output, carver, parallel);
  }
  const StemRows source(shape, packed, images, carver);
  run_rows(shape, packed, source, output, carver, parallel);
}

namespace {

class StemKind final : public BlockKind {
 public:
  Sections sections(const PackedHeader& w) const override {
    if (is_int8(w)) {
      return Sections(w).quantized_numbers().array(6).pointwise(27, w.out_channels);
    }
    return Sections(Element::kF32).pointwise(27, w.out_channels).array(6);
  }
  void check(const char* op, const PackedHeader& w) const override {
    require(w.in_channels == 3, op, ": expected packed weights for 3 input channels, got ",
            w.in_channels);
    check_output_activation(op, w);
  }
  bool has_int8() const override { return true; }
  MapSize output_size(const PackedHeader& w, const MapSize& input, const MapSize&) const override {
    return {{input.batch, stem_out(input.height), stem_out(input.width)}, w.out_channels};
  }
  std::size_t workspace(const BlockCall& call, int64_t threads) const override {
    return stem_workspace(call.input, call.weights, threads);
  }
  void run(const BlockCall& call, const BlockArrays& arrays,
           const Parallel& parallel) const override {
    stem(call.input, call.weights, arrays.images, arrays.output, arrays.workspace, parallel);
  }
};

}  // namespace

const BlockKind& stem_kind() {
  static constexpr StemKind kKind;
  return kKind;
}

}  // namespace seaformer
