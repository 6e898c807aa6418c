#include "network/plan.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>

#include "blocks/block_kind.h"
#include "core/require.h"
#include "network/checksum.h"

namespace seaformer {
namespace {

constexpr uint64_t align(uint64_t offset) {
  return (offset + kPlanAlignment - 1) / kPlanAlignment * kPlanAlignment;
}

// Whether a step can be of that kind.
bool is_step(uint32_t code) {
  const BlockKind* kind = find_kind(code);
  return kind != nullptr && kind->maps() > 0;
}

// The task that a kind of step is the head of, or 0.
uint32_t task_of(PackedKind kind) {
  switch (kind) {
    case PackedKind::kSegmentationHead:
    case PackedKind::kUpsamplingHead:
      return static_cast<uint32_t>(Task::kSegmentation);
    case PackedKind::kClassificationHead:
      return static_cast<uint32_t>(Task::kClassification);
    default:
      return 0;
  }
}

// Channels of the map that a step writes.
int64_t written_channels(const PackedHeader& weights) {
  return kind_of(weights).output_size(weights, {{1, 1, 1}, weights.in_channels}).channels;
}

Task last_task(uint32_t version) {
  if (version > kStepsPlanVersion) return Task::kDetection;
  return version > kInt8PlanVersion ? Task::kMap : Task::kClassification;
}

bool is_zero(float number) { return number == 0.0f && !std::signbit(number); }
bool is_share(float number) { return number >= 0.0f && number <= 1.0f; }

template <std::size_t kCount>
bool all_zero(const uint32_t (&values)[kCount]) {
  for (const uint32_t value : values) {
    if (value != 0) return false;
  }
  return true;
}

}  // namespace

Plan::Plan(const void* data, uint64_t bytes)
    : header_(static_cast<const PlanHeader*>(data)),
      records_(reinterpret_cast<const StepRecord*>(header_ + 1)),
      outputs_(nullptr) {
  require(reinterpret_cast<uintptr_t>(data) % alignof(PlanHeader) == 0,
          "plan: expected memory aligned to ", alignof(PlanHeader), " bytes, got address ", data);
  check_header(bytes);
  if (has_outputs()) {
    outputs_ = reinterpret_cast<const OutputsRecord*>(records_ + steps());
    check_outputs();
  }
  check_weights();
  check_maps();
}

void Plan::check_header(uint64_t bytes) const {
  require(bytes >= sizeof(PlanHeader), "plan: expected at least ", sizeof(PlanHeader),
          " bytes, got ", bytes);
  const PlanHeader& h = *header_;
  require(std::memcmp(h.magic, kPlanMagic, sizeof kPlanMagic) == 0,
          "plan: expected a SeaFormer model, got bytes that do not begin like one");
  require(h.version >= 1 && h.version <= kPlanVersion, "plan: expected format version 1 to ",
          kPlanVersion, ", got version ", h.version);
  require(h.bytes == bytes, "plan: expected the ", h.bytes, " bytes that its header states, got ",
          bytes);
  const auto last = static_cast<uint32_t>(last_task(h.version));
  require(h.task >= static_cast<uint32_t>(Task::kSegmentation) && h.task <= last,
          "plan: expected task 1 (segmentation) to ", last,
          " (2 is classification, 4 detection, 3 any other), got ", h.task);
  require(h.normalizes <= 1, "plan: expected 0 or 1 as its flag, got ", h.normalizes);
  const bool numbers = h.version > kInt8PlanVersion && h.normalizes == 1;
  for (const float number : h.normalisation) {
    require(numbers ? std::isfinite(number) : is_zero(number),
            "plan: expected numbers to normalise with, or zeros in reserved fields, got ", number);
  }
  require(h.steps >= 2 && h.steps <= kMaxSteps, "plan: expected 2 to ", kMaxSteps, " steps, got ",
          h.steps);
  const uint64_t table = sizeof(PlanHeader) + h.steps * sizeof(StepRecord) +
                         (has_outputs() ? sizeof(OutputsRecord) : 0);
  require(table <= bytes, "plan: expected ", table, " bytes for its ", h.steps, " steps, got ",
          bytes);
}

uint64_t Plan::table_bytes() const {
  const uint64_t steps = sizeof(PlanHeader) + header_->steps * sizeof(StepRecord);
  if (!has_outputs()) return steps;
  const OutputsRecord& o = *outputs_;
  return steps + sizeof o + (o.maps + o.levels) * sizeof(uint32_t) +
         o.levels * o.anchors * 2 * sizeof(float);
}

void Plan::check_outputs() const {
  const OutputsRecord& o = *outputs_;
  const uint32_t most = task() == Task::kMap ? kMaxOutputs : 1;
  if (task() == Task::kDetection) {
    check_detection();
  } else {
    require(o.maps >= 1 && o.maps <= most, "plan: expected 1 to ", most,
            " maps to come out of a network of task ", header_->task, ", got ", o.maps);
    require((o.levels | o.anchors | o.top_k | o.most) == 0 && is_zero(o.score_threshold) &&
                is_zero(o.iou_threshold),
            "plan: expected zeros where there is no detection, got others");
  }
  require(all_zero(o.reserved),
          "plan: expected zeros in the reserved fields of its outputs, got others");
  require(table_bytes() <= header_->bytes, "plan: expected ", table_bytes(),
          " bytes for its steps and outputs, got ", header_->bytes);
  std::bitset<kMaxSteps + 1> known;
  for (int64_t k = 0; k < outputs(); ++k) {
    require(output(k) >= 1 && output(k) <= steps() && !known[output(k)],
            "plan: expected different maps of 1 to ", steps(), " to come out, got map ", output(k));
    known.set(output(k));
  }
  if (task() == Task::kDetection) check_levels();
}

// The numbers that tell how detections are made.
void Plan::check_detection() const {
  const OutputsRecord& o = *outputs_;
  require(o.levels >= 1 && o.levels <= kMaxOutputs / 2 && o.maps == 2 * o.levels,
          "plan: expected two maps of each of 1 to ", kMaxOutputs / 2,
          " levels of a detector, got ", o.maps, " of ", o.levels);
  require(o.anchors >= 1 && o.anchors <= kMaxAnchors, "plan: expected 1 to ", kMaxAnchors,
          " anchors a pixel, got ", o.anchors);
  require(o.top_k >= 1 && o.top_k <= kMaxDetections && o.most >= 1 && o.most <= kMaxDetections,
          "plan: expected 1 to ", kMaxDetections, " boxes of a level and of an image, got ",
          o.top_k, " and ", o.most);
  require(is_share(o.score_threshold) && is_share(o.iou_threshold),
          "plan: expected thresholds from 0 to 1, got ", o.score_threshold, " and ",
          o.iou_threshold);
}

// The lists behind them, which are within the plan.
void Plan::check_levels() const {
  const OutputsRecord& o = *outputs_;
  for (uint32_t level = 0; level < o.levels; ++level) {
    require(strides()[level] >= 1 && strides()[level] <= kMaxStride,
            "plan: expected levels of 1 to ", kMaxStride, " pixels, got ", strides()[level]);
  }
  for (uint32_t i = 0; i < o.levels * o.anchors * 2; ++i) {
    require(std::isnormal(anchors()[i]) && anchors()[i] > 0 && anchors()[i] <= kMaxImageSide,
            "plan: expected anchors of sides above 0, got ", anchors()[i]);
  }
}

bool Plan::is_output(int64_t map) const {
  for (int64_t k = 0; k < outputs(); ++k) {
    if (output(k) == map) return true;
  }
  return false;
}

// Where the weights of a step lie; moves `end`, that of the weights so far.
void Plan::check_place(int64_t i, uint64_t& end) const {
  const StepRecord& step = records_[i];
  if (has_outputs() && step.offset < align(end)) {
    const StepRecord* const same =
        std::find_if(records_, records_ + i,
                     [&](const StepRecord& other) { return other.offset == step.offset; });
    require(same != records_ + i && same->bytes == step.bytes && same->kind == step.kind,
            "plan: expected step ", i, " to share all weights of an earlier step, got ", step.bytes,
            " bytes at ", step.offset, " of kind ", step.kind);
    return;
  }
  require(step.offset == align(end) && step.offset <= header_->bytes &&
              step.bytes <= header_->bytes - step.offset,
          "plan: expected the weights of step ", i, " at byte ", align(end), " of ", header_->bytes,
          ", got ", step.bytes, " bytes at ", step.offset);
  end = step.offset + step.bytes;
}

void Plan::check_weights() const {
  uint64_t end = table_bytes();
  for (int64_t i = 0; i < steps(); ++i) {
    const StepRecord& step = records_[i];
    require(is_step(step.kind), "plan: expected step ", i, " of a known kind, got kind ",
            step.kind);
    check_place(i, end);
    const std::string name = "plan: step " + std::to_string(i);
    const PackedHeader& packed = checked_header(name.c_str(), static_cast<PackedKind>(step.kind),
                                                &weights(i), static_cast<int64_t>(step.bytes));
    require(header_->version > kFloatPlanVersion || element_of(packed) == Element::kF32, name,
            ": expected float32 weights in a plan of format version ", header_->version,
            ", got others");
    require(header_->version > kTypedPlanVersion || element_of(packed) != Element::kI8, name,
            ": expected weights of floats in a plan of format version ", header_->version,
            ", got int8");
    const int32_t most = is_output(i + 1) ? kMaxClasses : kMaxMapChannels;
    require(written_channels(packed) <= most && packed.out_channels <= most &&
                packed.hidden_channels <= kMaxHiddenChannels,
            name, ": expected at most ", kMaxMapChannels, " channels, ", kMaxHiddenChannels,
            " hidden ones and ", kMaxClasses, " classes, got ", packed.out_channels, ", ",
            packed.hidden_channels, " and ", class_count(packed));
  }
  require(end == header_->bytes, "plan: expected the last weights to end it, got ",
          header_->bytes - end, " bytes behind them");
}

// The first step, and what comes out.
void Plan::check_ends() const {
  for (int64_t i = 0; i < steps(); ++i) {
    const auto kind = static_cast<PackedKind>(records_[i].kind);
    if (header_->version > kInt8PlanVersion) {
      require(kind != PackedKind::kStem || i == 0,
              "plan: expected a stem as its first step only, got one as step ", i);
      continue;
    }
    require((kind == PackedKind::kStem) == (i == 0) &&
                task_of(kind) == (i == steps() - 1 ? header_->task : 0),
            "plan: expected a stem as its first step and a head of task ", header_->task,
            " as its last only, got kind ", records_[i].kind, " as step ", i);
  }
  const auto channels = [&](int64_t k) { return written_channels(weights(output(k) - 1)); };
  const int64_t classes = channels(0);
  if (task() != Task::kDetection) {
    require(header_->classes == classes, "plan: expected the ", classes,
            " classes of its head, got ", header_->classes);
    return;
  }
  const int64_t levels = outputs_->levels, anchors = outputs_->anchors;
  for (int64_t level = 0; level < levels; ++level) {
    require(output_element(level) == output_element(levels + level) &&
                output_element(level) != Element::kI8,
            "plan: expected level ", level, " to have maps of one type of floats, got ",
            element_name(output_element(level)), " and ",
            element_name(output_element(levels + level)));
    require(header_->classes >= 1 && channels(level) == anchors * header_->classes &&
                channels(levels + level) == anchors * 4,
            "plan: expected level ", level, " to have ", header_->classes,
            " classes and 4 sides of each of ", anchors, " anchors, got ", channels(level), " and ",
            channels(levels + level), " channels");
  }
}

// What a step reads.
void Plan::check_inputs(int64_t i) const {
  const StepRecord& step = records_[i];
  const PackedHeader& packed = weights(i);
  const BlockKind& block = kind_of(packed);
  const bool any = header_->version > kInt8PlanVersion;  // step may read the image
  const int32_t wanted[2] = {packed.in_channels, packed.hidden_channels};
  for (int k = 0; k < block.maps(); ++k) {
    const uint32_t map = step.inputs[k];
    require(map <= i && (any || (map == 0) == (i == 0)), "plan: expected step ", i,
            " to read a map that was written, got map ", map);
    require(map == 0 || static_cast<PackedKind>(step.kind) != PackedKind::kStem,
            "plan: expected a stem to read the image, got map ", map);
    const int64_t channels = map == 0 ? 3 : written_channels(weights(map - 1));
    require(channels == wanted[k], "plan: expected step ", i, " to read ", wanted[k],
            " channels, got the ", channels, " of map ", map);
  }
  require((block.maps() == 2 || step.inputs[1] == 0) && all_zero(step.reserved),
          "plan: expected zeros in the unused fields of step ", i, ", got others");
  require(step.residual == 0 || (step.residual == 1 && block.may_add_input(packed)),
          "plan: expected step ", i, " without a residual, got flag ", step.residual);
}

void Plan::check_maps() const {
  check_ends();
  std::bitset<kMaxSteps + 1> read, one_pixel;
  for (int64_t i = 0; i < steps(); ++i) {
    check_inputs(i);
    const StepRecord& step = records_[i];
    const BlockKind& block = kind_of(weights(i));
    bool of_pixels = true;
    for (int k = 0; k < block.maps(); ++k) {
      read.set(step.inputs[k]);
      of_pixels &= one_pixel[step.inputs[k]];
    }
    const int64_t side = of_pixels ? 1 : 1 << 20;  // how large a map it may come to read
    const MapSize most{{1, side, side}, 1};
    one_pixel[i + 1] = block.output_size(weights(i), most, most).pixels() == 1;
  }
  for (int64_t map = 1; map <= steps(); ++map) {
    require(read[map] || is_output(map), "plan: expected every map to be read, got map ", map,
            " that is not");
  }
  require(task() != Task::kClassification || one_pixel[output(0)],
          "plan: expected a classifier to end with one pixel of any image, got more");
}

bool Plan::reads_pixels(int64_t i, int k) const {
  const BlockKind& block = kind_of(weights(i));
  return k < block.maps() && records_[i].inputs[k] == 0 && !block.reads_size_only(k) &&
         static_cast<PackedKind>(records_[i].kind) != PackedKind::kStem;
}

void Plan::verify_checksum() const {
  constexpr std::size_t kBegin = offsetof(PlanHeader, checksum) + sizeof(header_->checksum);
  const uint32_t found =
      crc32(reinterpret_cast<const char*>(header_) + kBegin, header_->bytes - kBegin);
  require(found == header_->checksum, "plan: expected bytes with checksum ", header_->checksum,
          ", got ", found, ": it is damaged");
}

const PackedHeader& Plan::weights(int64_t i) const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(header_);
  return *reinterpret_cast<const PackedHeader*>(bytes + records_[i].offset);
}

}  // namespace seaformer
