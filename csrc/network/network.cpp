#include "network/network.h"

#include "blocks/convert_elements.h"
#include "blocks/two_maps.h"
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

// Where every map lies: in the block, as scheduled.
std::vector<void*> places(const Plan& plan, const Schedule& schedule, unsigned char* block) {
  std::vector<void*> maps;
  for (int64_t map = 0; map <= plan.steps(); ++map) maps.push_back(block + schedule.map(map));
  return maps;
}

// Runs every step on maps that lie there, and the rest in the block.
void run_steps(const Plan& plan, const Schedule& schedule, const StemImages& images,
               unsigned char* block, const std::vector<void*>& maps, int32_t* winners,
               const Parallel& parallel) {
  // What step i reads, of its own element type.
  const auto input = [&](int64_t i, int k) -> const void* {
    const uint32_t id = plan.step(i).inputs[k];
    if (!schedule.converts(i, k)) return maps[id];
    void* const converted = block + schedule.converted(i, k);
    convert_elements(schedule.size(id).elements(), plan.map_type(id), maps[id],
                     plan.read_type(i, k), converted, parallel);
    return converted;
  };
  if (schedule.has_pixels()) {
    const PlanHeader& header = plan.header();
    const bool raw = header.version > kInt8PlanVersion && header.normalizes == 1;
    image_pixels(schedule.size(0), images, raw ? header.normalisation : nullptr,
                 static_cast<float*>(maps[0]), parallel);
  }
  for (int64_t i = schedule.begin(); i < plan.steps(); ++i) {
    run_step(schedule.steps()[i],
             {images, input(i, 0), input(i, 1), maps[i + 1],
              plan.is_output(i + 1) ? winners : nullptr, block + schedule.workspace(i)},
             parallel);
  }
}

void check_detection(const DetectionShape& how, const DetectionShape& plan) {
  require(how.batch == plan.batch && how.anchors == plan.anchors && how.classes == plan.classes,
          "network: expected detections of ", plan.batch, " images with ", plan.anchors,
          " anchors of ", plan.classes, " classes, got ", how.batch, ", ", how.anchors, " and ",
          how.classes);
  check_side("boxes within a height", how.height);
  check_side("boxes within a width", how.width);
  require(how.top_k >= 1 && how.max_detections >= 1 && how.max_detections <= kMaxDetections,
          "network: expected 1 box of a level or more and 1 to ", kMaxDetections,
          " of an image, got ", how.top_k, " and ", how.max_detections);
  require(how.score_threshold >= 0 && how.score_threshold <= 1 && how.iou_threshold >= 0 &&
              how.iou_threshold <= 1,
          "network: expected thresholds from 0 to 1, got ", how.score_threshold, " and ",
          how.iou_threshold);
}

// The levels of a detector, whose maps lie nowhere yet.
std::vector<DetectionLevel> detection_levels(const Plan& plan, const Schedule& schedule) {
  const OutputsRecord& record = plan.detection();
  std::vector<DetectionLevel> levels;
  for (int64_t level = 0; level < record.levels; ++level) {
    const auto view = [&](int64_t k) {
      const MapSize& size = schedule.size(plan.output(k));
      return dense_maps(nullptr, size, size.channels, plan.output_element(k));
    };
    const PixelMaps classes = view(level), boxes = view(record.levels + level);
    require(same_shape(classes.shape, boxes.shape),
            "network: expected two maps of one size of level ", level, ", got ",
            classes.shape.height, "x", classes.shape.width, " and ", boxes.shape.height, "x",
            boxes.shape.width);
    require(classes.shape.height * classes.shape.width <= kMostLogits / classes.channels,
            "network: expected at most ", kMostLogits, " logits of level ", level, ", got ",
            classes.channels, " of ", classes.shape.height, "x", classes.shape.width, " pixels");
    levels.push_back(
        {classes, boxes, plan.anchors() + level * record.anchors * 2, plan.strides()[level]});
  }
  return levels;
}

}  // namespace

std::vector<MapSize> Network::output_sizes(const MapShape& shape) const {
  check_shape(shape);
  const std::vector<MapSize> sizes = map_sizes(plan_, shape);
  std::vector<MapSize> outputs;
  for (int64_t k = 0; k < plan_.outputs(); ++k) outputs.push_back(sizes[plan_.output(k)]);
  return outputs;
}

void Network::check_one_output() const {
  require(plan_.outputs() == 1,
          "network: expected a network of which one map comes out, got one of ", plan_.outputs());
}

MapSize Network::logits_size(const MapShape& shape) const {
  check_one_output();
  return output_sizes(shape)[0];
}

void Network::check_images(const MapShape& shape, const StemImages& images) const {
  check_shape(shape);
  require(!images.bytes || plan_.header().normalizes == 1,
          "network: expected normalised float32 images, as this plan has no mean and std, got "
          "uint8 ones");
}

void Network::logits(const MapShape& shape, const StemImages& images, Element element, void* logits,
                     const Parallel& parallel) const {
  check_one_output();
  maps(shape, images, {{logits, element}}, parallel);
}

void Network::maps(const MapShape& shape, const StemImages& images,
                   const std::vector<OutputMap>& outputs, const Parallel& parallel) const {
  check_images(shape, images);
  const auto count = static_cast<int64_t>(outputs.size());
  require(count == plan_.outputs(), "network: expected room for the ", plan_.outputs(),
          " maps that come out, got that for ", count);
  const auto converts = [&](int64_t k) { return outputs[k].element != plan_.output_element(k); };
  Schedule schedule(plan_, shape, parallel.threads());
  for (int64_t k = 0; k < count; ++k) {
    if (converts(k)) schedule.keep(plan_.output(k));
  }
  const Arena arena(schedule.place());
  std::vector<void*> maps = places(plan_, schedule, arena.data());
  for (int64_t k = 0; k < count; ++k) {
    if (!converts(k)) maps[plan_.output(k)] = outputs[k].data;
  }
  run_steps(plan_, schedule, images, arena.data(), maps, nullptr, parallel);
  for (int64_t k = 0; k < count; ++k) {
    const int64_t map = plan_.output(k);
    if (!converts(k)) continue;
    convert_elements(schedule.size(map).elements(), plan_.map_type(map), maps[map],
                     {outputs[k].element}, outputs[k].data, parallel);
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
  const int64_t output = plan_.output(0);
  const Element element = plan_.output_element(0);
  const bool with_winners = element == Element::kF32 && plan_.header().classes >= kMinClasses &&
                            kind_of(plan_.weights(output - 1)).writes_winners();
  Schedule schedule(plan_, shape, parallel.threads());
  schedule.add_labels(height, width, with_winners);
  const Arena arena(schedule.place());
  unsigned char* const block = arena.data();
  const std::vector<void*> maps = places(plan_, schedule, block);
  auto* const winners =
      with_winners ? reinterpret_cast<int32_t*>(block + schedule.winners()) : nullptr;
  run_steps(plan_, schedule, images, block, maps, winners, parallel);
  Logits view = channels_last(maps[output], schedule.upsampling(), element);
  view.winners = winners;
  upsample_argmax(schedule.upsampling(), view, labels, block + schedule.workspace(plan_.steps()),
                  parallel);
}

DetectionShape Network::detection_shape(const MapShape& shape) const {
  check_shape(shape);
  require(plan_.task() == Task::kDetection,
          "network: expected a detector for detections, got a network of another task");
  const OutputsRecord& plan = plan_.detection();
  DetectionShape how{shape.batch, plan.anchors, plan_.header().classes, shape.height, shape.width};
  how.score_threshold = plan.score_threshold;
  how.top_k = plan.top_k;
  how.iou_threshold = double{plan.iou_threshold};
  how.max_detections = plan.most;
  return how;
}

void Network::detections(const MapShape& shape, const StemImages& images, const DetectionShape& how,
                         const Detections& detections, const Parallel& parallel) const {
  check_images(shape, images);
  check_detection(how, detection_shape(shape));
  Schedule schedule(plan_, shape, parallel.threads());
  for (int64_t k = 0; k < plan_.outputs(); ++k) schedule.keep(plan_.output(k));
  std::vector<DetectionLevel> levels = detection_levels(plan_, schedule);
  const auto count = static_cast<int64_t>(levels.size());
  schedule.add_step(detections_workspace(how, levels.data(), count, parallel.threads()));
  const Arena arena(schedule.place());
  const std::vector<void*> maps = places(plan_, schedule, arena.data());
  for (int64_t level = 0; level < count; ++level) {
    levels[level].class_map.data = maps[plan_.output(level)];
    levels[level].box_map.data = maps[plan_.output(count + level)];
  }
  run_steps(plan_, schedule, images, arena.data(), maps, nullptr, parallel);
  decode_detections(how, levels.data(), count, detections,
                    arena.data() + schedule.workspace(plan_.steps()), parallel);
}

template void Network::labels(const MapShape&, const StemImages&, int64_t, int64_t, uint8_t*,
                              const Parallel&) const;
template void Network::labels(const MapShape&, const StemImages&, int64_t, int64_t, int32_t*,
                              const Parallel&) const;

}  // namespace seaformer
