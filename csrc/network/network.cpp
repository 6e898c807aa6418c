#include "network/network.h"

#include "blocks/convert_elements.h"
#include "core/require.h"
#include "kernels/upsample_argmax/upsample_argmax.h"
#include "network/arena.h"
#include "network/image_pixels.h"
#include "network/schedule.h"

namespace seaformer {
namespace {

void check_side(const char* name, int64_t length) {
  require(length >= 1 && length <= kMaxImageSide, "network: expected ", name, " from 1 to ",
          kMaxImageSide, ", got ", length);
}

void check_shape(const MapShape& shape) {
  check_side("a height", shape.height);
  check_side("a width", shape.width);
  require(shape.batch >= 1 && shape.batch <= kMaxImagePixels / (shape.height * shape.width),
          "network: expected 1 image or more with at most ", kMaxImagePixels, " pixels, got ",
          shape.batch, " of ", shape.height, "x", shape.width);
}

// Runs every step in the block; `logits` is where the last one writes.
void run_steps(const Plan& plan, const Schedule& schedule, const StemImages& images,
               unsigned char* block, void* logits, int32_t* winners, const Parallel& parallel) {
  const auto map = [&](uint32_t id) -> void* { return block + schedule.map(id); };
  // What step i reads, of its own element type.
  const auto input = [&](int64_t i, int k) -> const void* {
    const uint32_t id = plan.step(i).inputs[k];
    if (!schedule.converts(i, k)) return map(id);
    void* const converted = block + schedule.converted(i, k);
    convert_elements(schedule.size(id).elements(), plan.map_type(id), map(id), plan.read_type(i, k),
                     converted, parallel);
    return converted;
  };
  if (schedule.has_pixels()) {
    const PlanHeader& header = plan.header();
    const bool raw = header.version > kInt8PlanVersion && header.normalizes == 1;
    image_pixels(schedule.size(0), images, raw ? header.normalisation : nullptr,
                 static_cast<float*>(map(0)), parallel);
  }
  for (int64_t i = schedule.begin(); i < plan.steps(); ++i) {
    void* const output = i == plan.steps() - 1 ? logits : map(static_cast<uint32_t>(i) + 1);
    run_step(schedule.steps()[i],
             {images, input(i, 0), input(i, 1), output, winners, block + schedule.workspace(i)},
             parallel);
  }
}

}  // namespace

MapSize Network::logits_size(const MapShape& shape) const {
  check_shape(shape);
  return map_sizes(plan_, shape).back();
}

void Network::check_images(const MapShape& shape, const StemImages& images) const {
  check_shape(shape);
  require(!images.bytes || plan_.header().normalizes == 1,
          "network: expected normalised float32 images, as this plan has no mean and std, got "
          "uint8 ones");
}

void Network::logits(const MapShape& shape, const StemImages& images, Element element, void* logits,
                     const Parallel& parallel) const {
  check_images(shape, images);
  Schedule schedule(plan_, shape, parallel.threads());
  const bool converts = element != plan_.logits_element();
  if (converts) schedule.keep_logits();
  const Arena arena(schedule.place());
  void* const written = converts ? arena.data() + schedule.map(plan_.steps()) : logits;
  run_steps(plan_, schedule, images, arena.data(), written, nullptr, parallel);
  if (converts) {
    convert_elements(schedule.logits().elements(), plan_.map_type(plan_.steps()), written,
                     {element}, logits, parallel);
  }
}

template <class Label>
void Network::labels(const MapShape& shape, const StemImages& images, int64_t height, int64_t width,
                     Label* labels, const Parallel& parallel) const {
  check_images(shape, images);
  require(plan_.task() == Task::kSegmentation,
          "network: expected a segmentation network for labels, got a network of another task");
  require(sizeof(Label) > 1 || plan_.header().classes <= 256,
          "network: expected at most 256 classes for labels of a byte, got ",
          plan_.header().classes);
  check_side("labels with a height", height);
  check_side("labels with a width", width);
  const Element element = plan_.logits_element();
  const bool with_winners = element == Element::kF32 && plan_.header().classes >= kMinClasses &&
                            kind_of(plan_.weights(plan_.steps() - 1)).writes_winners();
  Schedule schedule(plan_, shape, parallel.threads());
  schedule.add_labels(height, width, with_winners);
  const Arena arena(schedule.place());
  unsigned char* const block = arena.data();
  void* const logits = block + schedule.map(plan_.steps());
  auto* const winners =
      with_winners ? reinterpret_cast<int32_t*>(block + schedule.winners()) : nullptr;
  run_steps(plan_, schedule, images, block, logits, winners, parallel);
  Logits view = channels_last(logits, schedule.upsampling(), element);
  view.winners = winners;
  upsample_argmax(schedule.upsampling(), view, labels, block + schedule.workspace(plan_.steps()),
                  parallel);
}

template void Network::labels(const MapShape&, const StemImages&, int64_t, int64_t, uint8_t*,
                              const Parallel&) const;
template void Network::labels(const MapShape&, const StemImages&, int64_t, int64_t, int32_t*,
                              const Parallel&) const;

}  // namespace seaformer
