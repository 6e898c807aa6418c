// The fusion gates and the ends of the segmentation heads of the family, fused, or by the same
// kernels one after another; layer_program.h tells how to call it. The unfused ones follow the
// fused.
#include "blocks/segmentation_head.h"

#include <cstring>
#include <memory>

#include "blocks/fusion_gate.h"
#include "blocks/resize_axis.h"
#include "blocks/section_reader.h"
#include "core/workspace.h"
#include "kernels/bilinear/variants.h"
#include "kernels/pointwise/variants.h"
#include "layer_program.h"
#include "shapes.h"
#include "whole_maps.h"

namespace {

using namespace seaformer;

struct Problem {
  Problem(PackedKind kind, const std::vector<int64_t>& sizes)
      : shape{{1, sizes[0], sizes[1]}, {1, sizes[2], sizes[3]}} {
    header.kind = static_cast<int32_t>(kind);
    header.in_channels = static_cast<int32_t>(sizes[4]);
    header.hidden_channels = static_cast<int32_t>(sizes[5]);
    header.out_channels = static_cast<int32_t>(sizes[6]);
    if (kind == PackedKind::kSegmentationHead) header.classes = static_cast<int32_t>(sizes[7]);
  }

  bool classifies() const { return header.classes > 0; }
  int64_t pixels() const { return shape.local.pixels(); }
  int64_t coarse_pixels() const { return shape.coarse.pixels(); }
  // Of an output pixel: the gated map's, or the logits.
  int64_t channels() const { return classifies() ? header.classes : header.out_channels; }
  double macs() const {
    const double out = header.out_channels;
    return pixels() * out * (header.in_channels + header.classes) +
           coarse_pixels() * out * header.hidden_channels;
  }

  PackedHeader header{};
  GateShape shape;
};

struct Data {
  explicit Data(const Problem& p)
      : local(p.pixels() * p.header.in_channels, 0.5f),
        coarse(p.coarse_pixels() * p.header.hidden_channels, 0.5f),
        output(p.pixels() * p.channels()),
        packed(packed_bytes(p.header) / sizeof(float), 0.01f) {
    std::memcpy(packed.data(), &p.header, sizeof p.header);
  }
  const PackedHeader& header() const {
    return *reinterpret_cast<const PackedHeader*>(packed.data());
  }

  std::vector<float> local, coarse, output, packed;
};

std::function<void()> prepare_fused(const Problem& p) {
  auto data = std::make_shared<Data>(p);
  const auto bytes = p.classifies() ? segmentation_head_workspace : fusion_gate_workspace;
  auto workspace = std::make_shared<Workspace>(bytes(p.shape, data->header(), 1));
  return [=] {
    const float *local = data->local.data(), *coarse = data->coarse.data();
    float* output = data->output.data();
    if (p.classifies()) {
      segmentation_head(p.shape, data->header(), local, coarse, output, nullptr, workspace->data(),
                        Sequential());
    } else {
      fusion_gate(p.shape, data->header(), local, coarse, output, workspace->data(), Sequential());
    }
  };
}

// Every map as a whole; the resize along rows stays part of the product, as in its kernel.
std::function<void()> prepare_unfused(const Problem& p) {
  struct Maps {
    explicit Maps(const Problem& p)
        : gates(p.coarse_pixels() * p.header.out_channels),
          blended(p.shape.local.height * p.shape.coarse.width * p.header.out_channels),
          gated(p.pixels() * p.header.out_channels) {}
    std::vector<float> gates, blended, gated;
  };
  const auto take_axes = [](const GateShape& shape, Carver& carver) {
    return std::pair{make_resize_axis(shape.coarse.height, shape.local.height, carver),
                     make_resize_axis(shape.coarse.width, shape.local.width, carver)};
  };
  auto data = std::make_shared<Data>(p);
  auto maps = std::make_shared<Maps>(p);
  Carver size(nullptr);
  take_axes(p.shape, size);
  auto workspace = std::make_shared<Workspace>(size.used());
  return [=] {
    const PackedHeader& h = data->header();
    const int64_t in = h.in_channels, hidden = h.hidden_channels, out = h.out_channels;
    SectionReader sections(h);
    const void* local_weights = sections.pointwise(in, out);
    const void* coarse_weights = sections.pointwise(hidden, out);
    const float* shift = p.classifies() ? sections.array(out) : nullptr;
    Carver carver(workspace->data());
    const auto [vertical, horizontal] = take_axes(p.shape, carver);
    bench::pointwise(data->coarse.data(), p.coarse_pixels(), hidden, coarse_weights, out,
                     Activation::kHardSigmoid, maps->gates.data());
    const int64_t width = p.shape.local.width, coarse_row = p.shape.coarse.width * out;
    for (int64_t y = 0; y < p.shape.local.height; ++y) {
      const ResizeRun& run = *find_run(vertical, y);
      bilinear_kernel().blend(maps->gates.data() + run.low * coarse_row,
                              maps->gates.data() + run.high * coarse_row, vertical.low_weight[y],
                              vertical.high_weight[y], coarse_row,
                              maps->blended.data() + y * coarse_row);
    }
    float* gated = p.classifies() ? maps->gated.data() : data->output.data();
    bench::pointwise(data->local.data(), p.pixels(), in, local_weights, out, Activation::kNone,
                     gated);
    for (int64_t y = 0; y < p.shape.local.height; ++y) {
      BilinearMultiply gating;
      gating.row = maps->blended.data() + y * coarse_row;
      gating.runs = horizontal.runs;
      gating.low_weight = horizontal.low_weight;
      gating.high_weight = horizontal.high_weight;
      gating.end = width;
      gating.output = {gated + y * width * out, out};
      gating.shift = shift;
      gating.channels = out;
      bilinear_kernel().multiply(gating);
    }
    if (p.classifies()) {
      bench::pointwise(gated, p.pixels(), out, sections.rest(), h.classes, Activation::kNone,
                       data->output.data());
    }
  };
}

}  // namespace

int main(int argc, char** argv) {
  return bench::layer_program(argc, argv, [] {
    std::vector<bench::LayerCase> cases;
    for (const bool fused : {true, false}) {
      for (const auto& [file, kind] :
           {std::pair{"fusion_gate", PackedKind::kFusionGate},
            std::pair{"segmentation_head", PackedKind::kSegmentationHead}}) {
        for (const bench::Shape& shape : bench::read_shapes(file)) {
          const Problem p(kind, shape.sizes);
          cases.push_back({shape.module + (fused ? "" : "/unfused"), p.macs(),
                           [=] { return fused ? prepare_fused(p) : prepare_unfused(p); }});
        }
      }
    }
    return cases;
  });
}
