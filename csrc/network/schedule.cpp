#include "network/schedule.h"

#include <algorithm>

#include "blocks/stem_block.h"
#include "core/require.h"

namespace seaformer {
namespace {

// Whether the first two steps run as one, as nobody else reads the stem's map.
bool joins_stem(const Plan& plan) {
  if (static_cast<PackedKind>(plan.step(0).kind) != PackedKind::kStem ||
      plan.step(1).inputs[0] != 1 || plan.is_output(1) ||
      !joins(plan.weights(0), plan.weights(1))) {
    return false;
  }
  for (int64_t i = 2; i < plan.steps(); ++i) {
    for (const uint32_t map : plan.step(i).inputs) {
      if (map == 1) return false;
    }
  }
  return true;
}

}  // namespace

std::vector<MapSize> map_sizes(const Plan& plan, const MapShape& images) {
  std::vector<MapSize> sizes = {{images, 3}};
  for (int64_t i = 0; i < plan.steps(); ++i) {
    const PackedHeader& weights = plan.weights(i);
    const BlockKind& kind = kind_of(weights);
    const MapSize &input = sizes[plan.step(i).inputs[0]], &coarse = sizes[plan.step(i).inputs[1]];
    const bool fits = kind.fits(weights, input, coarse);
    require(fits, "network: expected images for which step ", i,
            " reads maps that go together, got maps of ", input.height, "x", input.width, " and ",
            coarse.height, "x", coarse.width);
    const MapSize out = kind.output_size(weights, input, coarse);
    require(out.height >= 1 && out.height <= kMaxImageSide && out.width >= 1 &&
                out.width <= kMaxImageSide &&
                out.batch <= kMaxImagePixels / (out.height * out.width),
            "network: expected images for which step ", i,
            " writes maps of possible sizes, got one of ", out.height, "x", out.width, " from ",
            input.height, "x", input.width);
    sizes.push_back(out);
  }
  return sizes;
}

Schedule::Schedule(const Plan& plan, const MapShape& images, int64_t threads)
    : threads_(threads),
      begin_(joins_stem(plan) ? 1 : 0),
      plan_(plan),
      sizes_(map_sizes(plan, images)) {
  const int64_t count = plan.steps();
  for (int64_t i = 0; i < count; ++i) {
    has_pixels_ |= plan.reads_pixels(i, 0) || plan.reads_pixels(i, 1);
  }
  // The image lies elsewhere, unless it is read as a map.
  maps_.push_back(add(has_pixels_ ? bytes(0, Element::kF32) : 0, 0, 0));
  for (int64_t i = 0; i < count; ++i) {
    const StepRecord& record = plan.step(i);
    steps_.push_back({{plan.weights(i), record.residual != 0, sizes_[record.inputs[0]],
                       sizes_[record.inputs[1]]}});
    if (i == 1 && begin_ == 1) {
      steps_.back().stem = &plan.weights(0);
      steps_.back().image = images;
    }
    // The stem's map does not exist when it is joined, and those that come out are the caller's.
    const bool none = i < begin_ || plan.is_output(i + 1);
    maps_.push_back(add(none ? 0 : bytes(i + 1, plan.map_type(i + 1).element), i, i));
    workspaces_.push_back(add(i < begin_ ? 0 : step_workspace(steps_.back(), threads), i, i));
    std::array<std::size_t, 2> converted;
    for (int k = 0; k < 2; ++k) {
      const uint32_t map = record.inputs[k];
      slots_[maps_[map]].last = i;
      const MapType wanted = plan.read_type(i, k);
      const bool reads =
          map != 0 ? !kind_of(plan.weights(i)).reads_size_only(k) : plan.reads_pixels(i, k);
      const bool differs = reads && i >= begin_ && !(plan.map_type(map) == wanted);
      converted[k] = add(differs ? bytes(map, wanted.element) : 0, i, i);
    }
    converted_.push_back(converted);
  }
}

void Schedule::keep(int64_t map) {
  Slot& slot = slots_[maps_[map]];
  slot.bytes = bytes(map, plan_.map_type(map).element);
  slot.last = static_cast<int64_t>(steps_.size());
}

void Schedule::add_labels(int64_t height, int64_t width, bool with_winners) {
  const int64_t map = plan_.output(0);
  const MapSize& size = sizes_[map];
  const auto step = static_cast<int64_t>(steps_.size());
  keep(map);
  winners_ = add(with_winners ? size.pixels() * sizeof(int32_t) : 0, map - 1, step);
  upsampling_ = {size.batch, size.channels, size.height, size.width, height, width};
  const Logits view = channels_last(nullptr, upsampling_, plan_.output_element(0));
  add_step(upsample_argmax_workspace(upsampling_, view, threads_));
}

void Schedule::add_step(std::size_t workspace) {
  const auto step = static_cast<int64_t>(steps_.size());
  workspaces_.push_back(add(workspace, step, step));
}

std::size_t Schedule::bytes(int64_t map, Element element) const {
  return static_cast<std::size_t>(sizes_[map].elements() * bytes_of(element));
}

std::size_t Schedule::add(std::size_t bytes, int64_t first, int64_t last) {
  slots_.push_back({bytes, first, last});
  return slots_.size() - 1;
}

}  // namespace seaformer
