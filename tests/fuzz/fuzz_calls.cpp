// Fuzzes the arguments of the C API: sizes, strides, room, null pointers.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "../cpp/plan_builder.h"
#include "capi/seaformer.h"

using seaformer::test::AlignedBytes;

namespace {

// Reads numbers off the input; zeros behind its end.
class Reader {
 public:
  Reader(const uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  uint8_t byte() { return size_ == 0 ? 0 : (--size_, *data_++); }
  // Mostly small, sometimes any.
  int64_t number() {
    const uint8_t kind = byte();
    if (kind < 200) return byte() % 48;
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return static_cast<int64_t>(kind < 230 ? value >> 40 : value);
  }

 private:
  const uint8_t* data_;
  std::size_t size_;
};

seaformer_model* open(const AlignedBytes& bytes) {
  seaformer_model* model = nullptr;
  if (seaformer_open_memory(bytes.data(), bytes.size(), &model) != SEAFORMER_OK) std::abort();
  return model;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  static const AlignedBytes plans[4] = {
      seaformer::test::small_segmenter(19), seaformer::test::small_segmenter(300),
      seaformer::test::small_classifier(), seaformer::test::small_upsampler(),
      seaformer::test::small_segmenter(19, seaformer::Element::kI8, seaformer::Element::kI8)};
  static seaformer_model* const models[4] = {open(plans[0]), open(plans[1]), open(plans[2]),
                                             open(plans[3])};
  Reader in(data, size);
  const uint8_t choice = in.byte();
  seaformer_model* const model = choice % 16 == 15 ? nullptr : models[choice % 4];
  const int64_t height = in.number(), width = in.number(), stride = in.number();
  const int64_t out_height = in.number(), out_width = in.number(), room = in.number();
  seaformer_set_threads(model, static_cast<int32_t>(std::min<int64_t>(in.number(), 4)));

  // Arrays of just the size that a call may touch, where that is affordable; else the arguments are
  // ones to be refused, or too much for the machine.
  const auto affordable = [](int64_t a, int64_t b) {
    return a >= 0 && b >= 0 && a <= 64 && b <= 64;
  };
  if (!affordable(height, width) && height > 0 && width > 0 && stride >= width) return 0;
  const bool exact = in.byte() % 2 == 0;
  const int64_t row = exact && affordable(height, width) ? 3 * width : stride;
  const int64_t pixels = affordable(height, width) && height > 0 && row >= 0 && row < 4096
                             ? (height - 1) * row + 3 * width
                             : 0;
  const std::unique_ptr<uint8_t[]> rgb(
      new uint8_t[static_cast<std::size_t>(pixels) + (pixels == 0)]());
  if (row >= 4096) return 0;
  const bool null = in.byte() % 16 == 0;

  seaformer_model_info info{};
  seaformer_info(model, &info);
  const bool small = affordable(out_height, out_width);
  const std::size_t needed =
      small ? static_cast<std::size_t>(info.label_bytes * out_height * out_width) : 0;
  const std::size_t bytes = exact ? needed : static_cast<std::size_t>(room);
  if (small || bytes == 0) {
    const std::unique_ptr<uint8_t[]> labels(new uint8_t[needed + (needed == 0)]);
    seaformer_labels(model, null ? nullptr : rgb.get(), height, width, row, labels.get(), bytes,
                     out_height, out_width);
  }
  int64_t logits_height = 0, logits_width = 0;
  if (seaformer_logits_size(model, height, width, &logits_height, &logits_width) == SEAFORMER_OK &&
      affordable(height, width)) {
    const std::size_t expected =
        static_cast<std::size_t>(logits_height * logits_width * info.classes);
    const std::unique_ptr<float[]> logits(new float[expected]);
    seaformer_logits(model, null ? nullptr : rgb.get(), height, width, row, logits.get(),
                     exact ? expected : static_cast<std::size_t>(room));
  }
  if (affordable(height, width)) {
    std::vector<seaformer_detection> objects(exact ? 100 : static_cast<std::size_t>(room) % 300);
    std::size_t found = 0;
    seaformer_detect(model, null ? nullptr : rgb.get(), height, width, row, objects.data(),
                     objects.size(), &found);
    if (found > objects.size()) std::abort();
  }
  return 0;
}
