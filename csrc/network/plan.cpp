#include "network/plan.h"

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
      records_(reinterpret_cast<const StepRecord*>(header_ + 1)) {
  require(reinterpret_cast<uintptr_t>(data) % alignof(PlanHeader) == 0,
          "plan: expected memory aligned to ", alignof(PlanHeader), " bytes, got address ", data);
  check_header(bytes);
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
  const auto last =
      static_cast<uint32_t>(h.version > kInt8PlanVersion ? Task::kMap : Task::kClassification);
  require(h.task >= static_cast<uint32_t>(Task::kSegmentation) && h.task <= last,
          "plan: expected task 1 (segmentation) to ", last,
          " (2 is classification, 3 any other), got ", h.task);
  require(h.normalizes <= 1, "plan: expected 0 or 1 as its flag, got ", h.normalizes);
  const bool numbers = h.version > kInt8PlanVersion && h.normalizes == 1;
  for (const float number : h.normalisation) {
    require(numbers ? std::isfinite(number) : number == 0.0f && !std::signbit(number),
            "plan: expected numbers to normalise with, or zeros in reserved fields, got ", number);
  }
  require(h.steps >= 2 && h.steps <= kMaxSteps, "plan: expected 2 to ", kMaxSteps, " steps, got ",
          h.steps);
  const uint64_t table = sizeof(PlanHeader) + h.steps * sizeof(StepRecord);
  require(table <= bytes, "plan: expected ", table, " bytes for its ", h.steps, " steps, got ",
          bytes);
}

void Plan::check_weights() const {
  uint64_t end = sizeof(PlanHeader) + header_->steps * sizeof(StepRecord);
  for (int64_t i = 0; i < steps(); ++i) {
    const StepRecord& step = records_[i];
    require(is_step(step.kind), "plan: expected step ", i, " of a known kind, got kind ",
            step.kind);
    // Nothing is shared, so that a file's length bounds the work for a pixel.
    require(step.offset == align(end) && step.offset <= header_->bytes &&
                step.bytes <= header_->bytes - step.offset,
            "plan: expected the weights of step ", i, " at byte ", align(end), " of ",
            header_->bytes, ", got ", step.bytes, " bytes at ", step.offset);
    end = step.offset + step.bytes;
    const std::string name = "plan: step " + std::to_string(i);
    const PackedHeader& packed = checked_header(name.c_str(), static_cast<PackedKind>(step.kind),
                                                &weights(i), static_cast<int64_t>(step.bytes));
    require(header_->version > kFloatPlanVersion || element_of(packed) == Element::kF32, name,
            ": expected float32 weights in a plan of format version ", header_->version,
            ", got others");
    require(header_->version > kTypedPlanVersion || element_of(packed) != Element::kI8, name,
            ": expected weights of floats in a plan of format version ", header_->version,
            ", got int8");
    const bool last = i == steps() - 1;
    require(written_channels(packed) <= (last ? kMaxClasses : kMaxMapChannels) &&
                packed.out_channels <= (last ? kMaxClasses : kMaxMapChannels) &&
                packed.hidden_channels <= kMaxHiddenChannels,
            name, ": expected at most ", kMaxMapChannels, " channels, ", kMaxHiddenChannels,
            " hidden ones and ", kMaxClasses, " classes, got ", packed.out_channels, ", ",
            packed.hidden_channels, " and ", class_count(packed));
  }
  require(end == header_->bytes, "plan: expected the last weights to end it, got ",
          header_->bytes - end, " bytes behind them");
}

// The first step and the last.
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
  const int64_t classes = written_channels(weights(steps() - 1));
  require(header_->classes == classes, "plan: expected the ", classes, " classes of its head, got ",
          header_->classes);
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
  for (int64_t map = 1; map < steps(); ++map) {
    require(read[map], "plan: expected every map to be read, got map ", map, " that is not");
  }
  require(task() != Task::kClassification || one_pixel[steps()],
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
