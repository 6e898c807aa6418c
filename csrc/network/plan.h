// A whole network as one range of bytes: the format of model files, and of the plan that torch ops
// take. Little-endian.
//
//   header     64 bytes, PlanHeader
//   steps      64 bytes each, StepRecord; step i writes map i + 1, and map 0 is the image
//   outputs    from version 5 on: 64 bytes, OutputsRecord, and the lists that it tells of
//   weights    of each step in turn, as blocks/packed.h describes them, each from the next multiple
//              of 64 on; zeros in between; the last ends the plan
//
// Weights are used where they lie. Maps are of the element type of the step that writes them, and
// converted for a step of another. Each comes out of the network or is read by a later step. How
// large the outputs of an image are follows from the steps.
//
// Up to version 3 the first step is a stem, the only one that reads the image, and the last a head
// of the task. From version 4 on steps are of any kind, but for a stem, which is the first if there
// is one. Others read the image as a map of 3 channels of float32, normalised with the numbers of
// the header; and a classifier makes a map of one pixel, whatever the image. Up to version 4 what
// comes out is the last map. From version 5 on any maps do, and steps may share weights: a step
// then states the bytes of an earlier one.
#pragma once

#include <cstdint>

#include "blocks/packed.h"

namespace seaformer {

// Of any other network what comes out are maps.
enum class Task : uint32_t { kSegmentation = 1, kClassification = 2, kMap = 3, kDetection = 4 };

constexpr char kPlanMagic[8] = {'S', 'e', 'a', 'F', 'o', 'r', 'm', '\n'};
constexpr uint32_t kPlanVersion = 5;       // the newest, of any outputs and shared weights
constexpr uint32_t kStepsPlanVersion = 4;  // of steps of any kind
constexpr uint32_t kInt8PlanVersion = 3;   // of steps of any element type and int8
constexpr uint32_t kTypedPlanVersion = 2;  // without int8
constexpr uint32_t kFloatPlanVersion = 1;  // of float32 only: what older code reads
constexpr uint64_t kPlanAlignment = 64;

// Limits that keep the memory for an image of given size within what a network may need.
constexpr uint32_t kMaxSteps = 1024;
constexpr int32_t kMaxMapChannels = 1 << 12;
constexpr int32_t kMaxHiddenChannels = 1 << 14;
constexpr int32_t kMaxClasses = 1 << 16;
constexpr uint32_t kMaxOutputs = 64;
constexpr uint32_t kMaxAnchors = 64;
constexpr uint32_t kMaxDetections = 1 << 16;
constexpr uint32_t kMaxStride = 1 << 16;

// Images of a batch, and maps, have this many pixels, and sides this long, at most.
constexpr int64_t kMaxImageSide = int64_t{1} << 24;
constexpr int64_t kMaxImagePixels = int64_t{1} << 40;

struct PlanHeader {
  char magic[8];
  uint64_t bytes;     // of the whole plan
  uint32_t checksum;  // crc32 of everything behind this field
  uint32_t version;
  uint32_t task;
  uint32_t classes;  // of a network without such: channels of the first map that comes out
  uint32_t steps;
  uint32_t normalizes;  // 1: the stem takes raw RGB values, uint8 too; 0: normalised ones
  // From version 4 on, if it normalises: 3 means of channels and 3 inverse standard deviations, for
  // steps other than a stem, which has its own. Otherwise zeros.
  float normalisation[6];
};
static_assert(sizeof(PlanHeader) == 64);

struct StepRecord {
  uint32_t kind;       // PackedKind
  uint32_t inputs[2];  // maps; the second, of gates and the segmentation head, is the coarse one
  uint32_t residual;   // 1: the input is added to the output
  uint64_t offset, bytes;  // of the packed weights, from the plan's start
  uint32_t reserved[8];
};
static_assert(sizeof(StepRecord) == 64);

// What comes out, and how detections are made of it. Behind it are the numbers of the maps; of
// detection then the pixels of the image between those of each level, and per level of each anchor
// width and height in pixels, float32.
struct OutputsRecord {
  uint32_t maps;
  // Of detection, otherwise zeros: of `levels` maps of class logits and as many of box deltas,
  // channels of every anchor side by side; see blocks/detections.h for the rest.
  uint32_t levels, anchors;
  uint32_t top_k, most;
  float score_threshold, iou_threshold;
  uint32_t reserved[9];
};
static_assert(sizeof(OutputsRecord) == 64);

// A plan whose every number was checked; it refers to the bytes, which must outlive it.
class Plan {
 public:
  // Costs microseconds, as the weights and the checksum are not looked at. Throws
  // std::invalid_argument with what was expected and what came. `data` is aligned to 8 bytes.
  Plan(const void* data, uint64_t bytes);

  // Throws std::invalid_argument unless the bytes are those that were written.
  void verify_checksum() const;

  const PlanHeader& header() const { return *header_; }
  Task task() const { return static_cast<Task>(header_->task); }
  int64_t steps() const { return header_->steps; }
  const StepRecord& step(int64_t i) const { return records_[i]; }
  const PackedHeader& weights(int64_t i) const;
  // The type in which a step takes the map that is its input k.
  MapType read_type(int64_t step, int k) const {
    return k == 0 ? input_type(weights(step)) : coarse_type(weights(step));
  }
  // The type of a map: what the step that writes it says; of the image, as a map has it.
  MapType map_type(int64_t map) const {
    return map == 0 ? MapType{} : output_type(weights(map - 1));
  }
  // Whether a step reads, as input k, the image as a map.
  bool reads_pixels(int64_t step, int k) const;

  // The maps that come out, in their order.
  int64_t outputs() const { return has_outputs() ? outputs_->maps : 1; }
  int64_t output(int64_t k) const { return has_outputs() ? output_maps()[k] : steps(); }
  bool is_output(int64_t map) const;
  Element output_element(int64_t k) const { return map_type(output(k)).element; }

  // Of detection, of which output i has the classes of level i, and the one `levels` behind it the
  // boxes.
  const OutputsRecord& detection() const { return *outputs_; }
  const uint32_t* strides() const { return output_maps() + outputs_->maps; }
  const float* anchors() const {
    return reinterpret_cast<const float*>(strides() + outputs_->levels);
  }

 private:
  bool has_outputs() const { return header_->version > kStepsPlanVersion; }
  const uint32_t* output_maps() const { return reinterpret_cast<const uint32_t*>(outputs_ + 1); }
  uint64_t table_bytes() const;  // of all in front of the weights
  void check_header(uint64_t bytes) const;
  void check_outputs() const;
  void check_detection() const;
  void check_levels() const;
  void check_place(int64_t i, uint64_t& end) const;
  void check_weights() const;
  void check_maps() const;
  void check_ends() const;
  void check_inputs(int64_t i) const;

  const PlanHeader* header_;
  const StepRecord* records_;
  const OutputsRecord* outputs_;  // if the version has one
};

}  // namespace seaformer
