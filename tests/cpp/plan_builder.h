// Plans of small networks in memory, for tests.
#pragma once

#include <algorithm>
#include <cstring>
#include <new>
#include <random>
#include <vector>

#include "blocks/block_kind.h"
#include "kernels/pointwise/pointwise.h"
#include "network/checksum.h"
#include "network/plan.h"
#include "random_elements.h"
#include "window_cases.h"

namespace seaformer::test {

// Bytes of just their length, aligned as plans have to be.
class AlignedBytes {
 public:
  AlignedBytes(const void* from, std::size_t count)
      : size_(count),
        data_(static_cast<unsigned char*>(::operator new(count + !count, std::align_val_t{64}))) {
    if (count > 0) std::memcpy(data_, from, count);
  }
  AlignedBytes(const AlignedBytes& other) : AlignedBytes(other.data_, other.size_) {}
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  ~AlignedBytes() { ::operator delete(data_, std::align_val_t{64}); }

  unsigned char* data() { return data_; }
  const unsigned char* data() const { return data_; }
  std::size_t size() const { return size_; }

  PlanHeader& header() { return *reinterpret_cast<PlanHeader*>(data_); }
  StepRecord& step(int64_t i) {
    return reinterpret_cast<StepRecord*>(data_ + sizeof(PlanHeader))[i];
  }
  PackedHeader& weights(int64_t i) {
    return *reinterpret_cast<PackedHeader*>(data_ + step(i).offset);
  }
  // Makes the checksum right again, as damage that it does not find would.
  void seal() {
    if (size_ >= 20) header().checksum = crc32(data_ + 20, size_ - 20);
  }

 private:
  std::size_t size_;
  unsigned char* data_;
};

class PlanBuilder {
 public:
  PlanBuilder(Task task, bool normalizes, Element element = Element::kF32)
      : task_(task), normalizes_(normalizes), element_(element) {}

  // Of the steps that are added from now on.
  void set_element(Element element) { element_ = element; }

  // Adds a step with random weights of what `h` says; returns the map that it writes.
  uint32_t add(PackedHeader h, uint32_t input, uint32_t coarse = 0, bool residual = false) {
    Record record{{}, {}};
    record.step.kind = static_cast<uint32_t>(h.kind);
    record.step.inputs[0] = input, record.step.inputs[1] = coarse;
    record.step.residual = residual;
    const auto append = [&](const void* from, std::size_t bytes) {
      const auto* at = static_cast<const unsigned char*>(from);
      record.bytes.insert(record.bytes.end(), at, at + bytes);
    };
    append(&h, sizeof h);
    std::normal_distribution<float> normal(0.0f, 0.3f);
    const Sections sections = kind_of(h).sections(h);
    for (const Sections::Section& section : sections) {
      std::vector<unsigned char> bytes(section.bytes());
      const auto draw = [&] { return normal(random_); };
      if (section.element == Element::kI8) {
        fill_int8(section,
                  section.taps > 0 ? packed_int8_pointwise_bytes(section.taps, kPanel)
                                   : packed_int8_depthwise_bytes(kPanel, h.kernel_size),
                  zero_behind(h, &section == sections.end() - 1), draw, bytes.data());
      } else {
        fill(section, draw, bytes.data());
      }
      append(bytes.data(), bytes.size());
    }
    if (is_int8(h)) {
      const QuantizedNumbers numbers = {0.02f, 0.02f, kRatioOne, {0.02f, 0.0235f, 0.0235f}};
      std::memcpy(record.bytes.data() + sizeof h, &numbers, sizeof numbers);
    } else if (static_cast<PackedKind>(h.kind) == PackedKind::kStem) {
      std::vector<float> by(kPanel, normalizes_ ? 120.0f : 0.0f);
      for (int i = 3; i < kPanel; ++i) by[i] = i < 6 ? (normalizes_ ? 0.02f : 1.0f) : 0.0f;
      std::memcpy(record.bytes.data() + record.bytes.size() - kPanel * sizeof(float), by.data(),
                  kPanel * sizeof(float));
    }
    classes_ = static_cast<uint32_t>(kind_of(h).output_size(h, {{1, 1, 1}, 1}).channels);
    records_.push_back(record);
    return static_cast<uint32_t>(records_.size());
  }

  uint32_t stem(int32_t out) { return add(header(PackedKind::kStem, 3, 0, out), 0); }
  uint32_t inverted_residual(uint32_t input, int32_t in, int32_t hidden, int32_t out,
                             int32_t kernel_size, int32_t stride, bool residual) {
    PackedHeader h = header(PackedKind::kInvertedResidual, in, hidden ? hidden : in, out);
    h.kernel_size = kernel_size, h.stride = stride, h.flags = hidden ? kPackedExpands : 0;
    if (element_ == Element::kI8 && input == 1) h.flags |= kPackedReadsRelu;  // it joins the stem
    h.expand_activation = h.depthwise_activation = static_cast<int32_t>(Activation::kRelu);
    return add(h, input, 0, residual);
  }
  uint32_t sea_attention(uint32_t input, int32_t channels, int32_t heads, int32_t key_dim) {
    PackedHeader h = header(PackedKind::kSeaAttention, channels, 4 * heads * key_dim, channels);
    h.kernel_size = 3, h.stride = 1, h.flags = kPackedExpands, h.heads = heads;
    h.key_dim = key_dim, h.depthwise_activation = static_cast<int32_t>(Activation::kRelu6);
    return add(h, input, 0, true);
  }
  uint32_t fusion_gate(uint32_t local, int32_t in, uint32_t coarse, int32_t hidden, int32_t out) {
    return add(header(PackedKind::kFusionGate, in, hidden, out), local, coarse);
  }
  uint32_t segmentation_head(uint32_t local, int32_t in, uint32_t coarse, int32_t hidden,
                             int32_t out, int32_t classes) {
    PackedHeader h = header(PackedKind::kSegmentationHead, in, hidden, out);
    h.classes = classes;
    return add(h, local, coarse);
  }
  uint32_t upsampling_head(uint32_t input, int32_t in, int32_t out, int32_t classes) {
    PackedHeader h = header(PackedKind::kUpsamplingHead, in, in, out);
    h.kernel_size = 3, h.stride = 1, h.classes = classes;
    h.depthwise_activation = static_cast<int32_t>(Activation::kRelu);
    return add(h, input);
  }
  uint32_t pointwise(uint32_t input, int32_t in, int32_t out, Activation activation,
                     bool residual) {
    PackedHeader h = header(PackedKind::kPointwise, in, 0, out);
    h.expand_activation = static_cast<int32_t>(activation);
    return add(h, input, 0, residual);
  }
  // Of any kind, from version 4 on; a `second` map it has or has not.
  uint32_t convolution(uint32_t input, const WindowCase& window, int32_t in, int32_t out,
                       Activation activation) {
    PackedHeader h = typed(window_header(PackedKind::kConvolution, window, in, out));
    h.expand_activation = static_cast<int32_t>(activation);
    return add(h, input);
  }
  uint32_t pool(uint32_t input, const WindowCase& window, int32_t channels, int32_t flags) {
    PackedHeader h = typed(window_header(PackedKind::kPool, window, channels, channels));
    h.flags |= flags;
    return add(h, input);
  }
  uint32_t depthwise(uint32_t input, int32_t channels, int32_t kernel_size, int32_t stride) {
    PackedHeader h = typed(header(PackedKind::kDepthwise, channels, channels, channels));
    h.kernel_size = kernel_size, h.stride = stride, h.flags = kPackedPadsSame;
    return add(h, input);
  }
  // Without weights: `hidden` channels of a second map, and numbers as their kinds have them.
  uint32_t attention(uint32_t input, int32_t heads, int32_t key_dim, int32_t value_dim) {
    const int32_t out = heads * value_dim;
    PackedHeader h = typed(header(PackedKind::kAttention, 2 * heads * key_dim + out, 0, out));
    h.heads = heads, h.key_dim = key_dim;
    h.expand_activation = static_cast<int32_t>(Activation::kRelu);
    return add(h, input, 0);
  }
  uint32_t map_step(PackedKind kind, uint32_t input, int32_t in, uint32_t coarse, int32_t hidden,
                    int32_t out, int32_t mode = 0, int32_t stride = 0) {
    PackedHeader h = typed(header(kind, in, hidden, out));
    h.heads = mode, h.stride = stride;
    return add(h, input, coarse);
  }
  uint32_t classification_head(uint32_t input, int32_t in, int32_t classes) {
    return add(header(PackedKind::kClassificationHead, in, 0, classes), input);
  }

  // A step with the weights of the one that wrote `map`.
  uint32_t again(uint32_t map, uint32_t input) {
    Record record = records_[map - 1];
    record.step.inputs[0] = input, record.shares = map;
    records_.push_back(record);
    version_ = kPlanVersion;
    return static_cast<uint32_t>(records_.size());
  }

  // What comes out, in the place of the last map.
  void outputs(const std::vector<uint32_t>& maps) {
    outputs_ = maps, version_ = kPlanVersion;
    const PackedHeader& h =
        *reinterpret_cast<const PackedHeader*>(records_[maps[0] - 1].bytes.data());
    classes_ =
        static_cast<uint32_t>(kind_of(h).output_size(h, {{1, 1, 1}, h.in_channels}).channels);
  }

  // The same of a detector: maps of classes, then those of boxes, of levels twice as coarse each.
  void detection(const std::vector<uint32_t>& maps, uint32_t anchors, uint32_t stride) {
    outputs(maps);
    classes_ /= anchors;
    detection_.levels = static_cast<uint32_t>(maps.size() / 2), detection_.anchors = anchors;
    detection_.top_k = 50, detection_.most = 20;
    detection_.score_threshold = 0.3f, detection_.iou_threshold = 0.5f;
    stride_ = stride;
  }

  AlignedBytes finish() {
    const auto align = [](uint64_t n) { return (n + 63) / 64 * 64; };
    const std::vector<unsigned char> list = output_bytes();
    uint64_t end = sizeof(PlanHeader) + records_.size() * sizeof(StepRecord) + list.size();
    for (Record& record : records_) {
      if (record.shares > 0) {
        record.step.offset = records_[record.shares - 1].step.offset;
        record.step.bytes = records_[record.shares - 1].step.bytes;
        continue;
      }
      record.step.offset = align(end), record.step.bytes = record.bytes.size();
      end = record.step.offset + record.step.bytes;
    }
    std::vector<unsigned char> bytes(end);
    PlanHeader h{};
    std::memcpy(h.magic, kPlanMagic, sizeof h.magic);
    h.bytes = end, h.version = version_, h.task = static_cast<uint32_t>(task_);
    if (normalizes_ && version_ > kInt8PlanVersion) {
      for (int i = 0; i < 6; ++i)
        h.normalisation[i] = i < 3 ? 120.0f + static_cast<float>(i) : 0.02f;
    }
    h.classes = classes_, h.steps = static_cast<uint32_t>(records_.size());
    h.normalizes = normalizes_;
    std::memcpy(bytes.data(), &h, sizeof h);
    std::copy(list.begin(), list.end(),
              bytes.begin() + sizeof h + records_.size() * sizeof(StepRecord));
    for (std::size_t i = 0; i < records_.size(); ++i) {
      const Record& r = records_[i];
      std::memcpy(&bytes[sizeof h + i * sizeof r.step], &r.step, sizeof r.step);
      std::memcpy(&bytes[r.step.offset], r.bytes.data(), r.bytes.size());
    }
    AlignedBytes plan(bytes.data(), bytes.size());
    plan.seal();
    return plan;
  }

 private:
  struct Record {
    StepRecord step;
    std::vector<unsigned char> bytes;
    uint32_t shares = 0;  // the map of the step whose weights it has
  };

  // The record of outputs and what is behind it, if the version has one.
  std::vector<unsigned char> output_bytes() {
    std::vector<unsigned char> bytes;
    if (version_ < kPlanVersion) return bytes;
    const auto append = [&](const auto& value) {
      const auto* at = reinterpret_cast<const unsigned char*>(&value);
      bytes.insert(bytes.end(), at, at + sizeof value);
    };
    if (outputs_.empty()) outputs_ = {static_cast<uint32_t>(records_.size())};
    detection_.maps = static_cast<uint32_t>(outputs_.size());
    append(detection_);
    for (const uint32_t map : outputs_) append(map);
    for (uint32_t level = 0; level < detection_.levels; ++level) append(stride_ << level);
    for (uint32_t i = 0; i < detection_.levels * detection_.anchors; ++i) {
      append(3.0f + static_cast<float>(i)), append(5.0f);
    }
    return bytes;
  }

  // Of a step that older plans do not have.
  PackedHeader typed(PackedHeader h) {
    version_ = std::max(version_, kStepsPlanVersion);
    h.element = static_cast<int32_t>(element_);
    if (element_ != Element::kF32) h.version = kTypedPackedVersion;
    return h;
  }

  PackedHeader header(PackedKind kind, int32_t in, int32_t hidden, int32_t out) {
    PackedHeader h{};
    h.kind = static_cast<int32_t>(kind), h.element = static_cast<int32_t>(element_);
    if (element_ == Element::kI8) {
      h.version = kInt8PackedVersion, version_ = std::max(version_, kInt8PlanVersion);
    } else if (element_ != Element::kF32) {
      h.version = kTypedPackedVersion, version_ = std::max(version_, kTypedPlanVersion);
    }
    h.in_channels = in, h.hidden_channels = hidden, h.out_channels = out;
    return h;
  }

  // The zero point of what a section of int8 writes: behind a ReLU, or not.
  static int32_t zero_behind(const PackedHeader& h, bool is_last) {
    const auto kind = static_cast<PackedKind>(h.kind);
    const bool relu =
        kind == PackedKind::kStem || (kind == PackedKind::kInvertedResidual && !is_last);
    return relu ? kLeastQuantized : 0;
  }

  Task task_;
  bool normalizes_;
  uint32_t version_ = kFloatPlanVersion;
  Element element_;
  uint32_t classes_ = 0;
  std::vector<Record> records_;
  std::vector<uint32_t> outputs_;
  OutputsRecord detection_{};
  uint32_t stride_ = 1;
  std::mt19937 random_{5};
};

// Every kind of step, residuals, and a map that is read late.
inline AlignedBytes small_segmenter(int32_t classes = 19, Element first_half = Element::kF32,
                                    Element second_half = Element::kF32) {
  PlanBuilder plan(Task::kSegmentation, true, first_half);
  const uint32_t stem = plan.stem(6);
  const uint32_t first = plan.inverted_residual(stem, 6, 0, 6, 3, 1, true);
  const uint32_t fine = plan.inverted_residual(first, 6, 12, 8, 5, 2, false);
  const uint32_t attended = plan.sea_attention(fine, 8, 2, 2);
  plan.set_element(second_half);
  const uint32_t middle = plan.inverted_residual(attended, 8, 16, 8, 3, 1, true);
  const uint32_t coarse = plan.inverted_residual(middle, 8, 16, 10, 3, 2, false);
  const uint32_t gated = plan.fusion_gate(fine, 8, middle, 8, 12);
  plan.segmentation_head(gated, 12, coarse, 10, 20, classes);
  return plan.finish();
}

// The same task with a head that upsamples.
inline AlignedBytes small_upsampler(int32_t classes = 19, Element element = Element::kF32) {
  PlanBuilder plan(Task::kSegmentation, true, element);
  const uint32_t stem = plan.stem(6);
  const uint32_t fine = plan.inverted_residual(stem, 6, 12, 8, 3, 2, false);
  const uint32_t coarse = plan.inverted_residual(fine, 8, 16, 10, 3, 2, false);
  const uint32_t gated = plan.fusion_gate(fine, 8, coarse, 10, 20);
  const uint32_t narrow = plan.inverted_residual(gated, 20, 0, 9, 3, 1, false);
  plan.upsampling_head(narrow, 9, 20, classes);
  return plan.finish();
}

inline AlignedBytes small_classifier(Element element = Element::kF32) {
  PlanBuilder plan(Task::kClassification, false, element);
  const uint32_t stem = plan.stem(6);
  const uint32_t map = plan.inverted_residual(stem, 6, 12, 8, 3, 2, false);
  const uint32_t mixed = plan.pointwise(map, 8, 8, Activation::kSilu, true);
  plan.classification_head(mixed, 8, 7);
  return plan.finish();
}

// A classifier of any kind of step, which begins without a stem.
inline AlignedBytes generic_classifier(Element element = Element::kF32) {
  PlanBuilder plan(Task::kClassification, true, element);
  const uint32_t first =
      plan.convolution(0, {3, 3, 2, 0, 0, 1, true}, 3, 6, Activation::kHardSwish);
  const uint32_t map = plan.inverted_residual(first, 6, 12, 8, 5, 2, false);
  const uint32_t wide = plan.pointwise(map, 8, 20, Activation::kSilu, false);
  const uint32_t mean = plan.map_step(PackedKind::kGlobalPool, wide, 20, 0, 0, 20);
  const uint32_t gate = plan.pointwise(mean, 20, 20, Activation::kHardSigmoid, false);
  const uint32_t scaled = plan.map_step(PackedKind::kScale, wide, 20, gate, 20, 20);
  const uint32_t pooled = plan.map_step(PackedKind::kGlobalPool, scaled, 20, 0, 0, 20);
  const uint32_t hidden = plan.pointwise(pooled, 20, 24, Activation::kRelu, false);
  plan.pointwise(hidden, 24, 7, Activation::kNone, false);
  return plan.finish();
}

// A network of segmentation, or of another task, with a stem and the remaining kinds.
inline AlignedBytes generic_segmenter(int32_t classes = 19, Element element = Element::kF32,
                                      Task task = Task::kSegmentation) {
  PlanBuilder plan(task, true, element);
  const uint32_t stem = plan.stem(6);
  const uint32_t fine = plan.inverted_residual(stem, 6, 0, 6, 3, 1, true);
  const uint32_t greatest = plan.pool(fine, {3, 3, 2, 1, 1}, 6, 0);
  const uint32_t coarse = plan.depthwise(greatest, 6, 7, 2);
  const uint32_t means = plan.pool(coarse, {2, 2, 1, 0, 0, 1, true}, 6, kPackedAverages);
  const uint32_t sum = plan.map_step(PackedKind::kAdd, coarse, 6, means, 6, 6);
  const uint32_t resized = plan.map_step(PackedKind::kResize, sum, 6, greatest, 6, 6, 1);
  const uint32_t joined = plan.map_step(PackedKind::kConcat, resized, 6, greatest, 6, 12);
  const uint32_t nearest = plan.map_step(PackedKind::kUpsample, joined, 12, 0, 0, 12, 2, 2);
  const uint32_t bilinear = plan.map_step(PackedKind::kResize, nearest, 12, fine, 6, 12);
  const uint32_t logits = plan.pointwise(bilinear, 12, classes, Activation::kNone, false);
  plan.map_step(PackedKind::kResize, logits, classes, 0, 3, classes);  // to the image's size
  return plan.finish();
}

// The same task with means of parts, attention of all pixels, some channels, and sums of resized
// maps.
inline AlignedBytes attending_segmenter(int32_t classes = 19, Element element = Element::kF32) {
  PlanBuilder plan(Task::kSegmentation, true, element);
  const uint32_t stem = plan.stem(6);
  const uint32_t fine = plan.inverted_residual(stem, 6, 0, 6, 3, 1, true);
  const uint32_t coarse = plan.inverted_residual(fine, 6, 12, 8, 3, 2, false);
  const uint32_t means = plan.map_step(PackedKind::kAdaptivePool, fine, 6, coarse, 8, 6, 0, 2);
  const uint32_t made = plan.pointwise(means, 6, 24, Activation::kNone, false);
  const uint32_t mixed = plan.attention(made, 2, 3, 6);
  const uint32_t some = plan.map_step(PackedKind::kSlice, mixed, 12, 0, 4, 8);
  const uint32_t sum = plan.map_step(PackedKind::kResizeAdd, some, 8, coarse, 8, 8, 1);
  plan.pointwise(sum, 8, classes, Activation::kNone, false);
  return plan.finish();
}

// Maps of several sizes and types of which one is read again, from a pyramid of shared layers.
inline AlignedBytes small_pyramid(Element element = Element::kF32,
                                  Element coarse_element = Element::kF32) {
  PlanBuilder plan(Task::kMap, true, element);
  const uint32_t stem = plan.stem(6);
  const uint32_t fine = plan.inverted_residual(stem, 6, 0, 6, 3, 1, true);
  plan.set_element(coarse_element);
  const uint32_t coarse = plan.convolution(fine, {3, 3, 2, 1, 1}, 6, 6, Activation::kRelu);
  const uint32_t lifted = plan.map_step(PackedKind::kResize, coarse, 6, fine, 6, 6, 2);
  const uint32_t sum = plan.map_step(PackedKind::kAdd, lifted, 6, fine, 6, 6);
  const uint32_t shared = plan.convolution(sum, {3, 3, 1, 1, 1}, 6, 5, Activation::kRelu);
  const uint32_t again = plan.again(shared, coarse);
  const uint32_t mean = plan.map_step(PackedKind::kGlobalPool, again, 5, 0, 0, 5);
  plan.outputs({again, stem, coarse, mean, shared});
  return plan.finish();
}

// The same with a head of two classes and three anchors, its two levels twice as coarse each.
inline AlignedBytes small_detector(Element element = Element::kF32) {
  PlanBuilder plan(Task::kDetection, true, element);
  const uint32_t fine = plan.inverted_residual(plan.stem(6), 6, 12, 8, 3, 2, false);
  const uint32_t coarse = plan.convolution(fine, {3, 3, 2, 1, 1}, 8, 8, Activation::kRelu);
  const uint32_t tower = plan.convolution(fine, {3, 3, 1, 1, 1}, 8, 8, Activation::kRelu);
  const uint32_t classes = plan.pointwise(tower, 8, 6, Activation::kNone, false);
  const uint32_t boxes = plan.pointwise(tower, 8, 12, Activation::kNone, false);
  const uint32_t other = plan.again(tower, coarse);
  const uint32_t other_classes = plan.again(classes, other);
  plan.detection({classes, other_classes, boxes, plan.again(boxes, other)}, 3, 4);
  return plan.finish();
}

}  // namespace seaformer::test
