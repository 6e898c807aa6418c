// Fuzzes the reader of model files: any bytes are refused with a sentence, or run.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../cpp/plan_builder.h"
#include "capi/seaformer.h"

using seaformer::test::AlignedBytes;

// Written by libFuzzer.
extern "C" std::size_t LLVMFuzzerMutate(uint8_t* data, std::size_t size, std::size_t most);

static AlignedBytes good_plan(unsigned int number) {
  using namespace seaformer::test;
  using seaformer::Element;
  switch (number % 6) {
    case 0:
      return small_segmenter();
    case 1:
      return small_upsampler();
    case 2:
      return small_segmenter(19, Element::kI8, Element::kI8);
    case 3:
      return small_pyramid();
    case 4:
      return small_detector();
    default:
      return small_classifier();
  }
}

// Good plans, now and then; else changed bytes. Without one to begin from, fuzzing would have to
// find the magic number and every length by chance.
extern "C" std::size_t LLVMFuzzerCustomMutator(uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned int seed) {
  if (size < sizeof(seaformer::PlanHeader) || seed % 64 == 0) {
    const AlignedBytes good = good_plan(seed / 64);
    if (good.size() <= most) {
      std::memcpy(data, good.data(), good.size());
      size = good.size();
    }
  }
  const uint64_t before = size;
  // Mostly the numbers at the front, where a change matters.
  const std::size_t front = seed % 4 == 0 ? size : std::min<std::size_t>(size, 64 * 10);
  if (front < size) {
    std::vector<uint8_t> part(data, data + front);
    const std::size_t length = LLVMFuzzerMutate(part.data(), front, front);
    std::memcpy(data, part.data(), length);
  } else {
    size = LLVMFuzzerMutate(data, size, most);
  }
  // A length that fits, so that fuzzing gets past it.
  if (size >= sizeof(seaformer::PlanHeader) && size != before) {
    const uint64_t length = size;
    std::memcpy(data + offsetof(seaformer::PlanHeader, bytes), &length, sizeof length);
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  AlignedBytes bytes(data, size);
  if (size >= sizeof(seaformer::PlanHeader)) bytes.seal();  // as an attacker would
  seaformer_model* model = nullptr;
  if (seaformer_open_memory(bytes.data(), bytes.size(), &model) != SEAFORMER_OK) {
    if (model != nullptr || std::strlen(seaformer_error()) == 0) std::abort();
    return 0;
  }
  seaformer_model_info info;
  if (seaformer_info(model, &info) != SEAFORMER_OK) std::abort();
  const std::vector<uint8_t> rgb(9 * 11 * 3, 100);
  std::vector<std::vector<float>> maps;
  std::vector<float*> places;
  std::vector<std::size_t> counts;
  for (int32_t map = 0; map < info.outputs; ++map) {
    int64_t channels, height, width;
    if (seaformer_map_size(model, map, 9, 11, &channels, &height, &width) != SEAFORMER_OK) break;
    maps.emplace_back(static_cast<std::size_t>(channels * height * width));
    places.push_back(maps.back().data());
    counts.push_back(maps.back().size());
  }
  if (maps.size() == static_cast<std::size_t>(info.outputs)) {
    seaformer_maps(model, rgb.data(), 9, 11, 33, places.data(), counts.data());
    seaformer_logits(model, rgb.data(), 9, 11, 33, maps[0].data(), maps[0].size());
  }
  std::vector<seaformer_detection> objects(static_cast<std::size_t>(info.max_detections));
  std::size_t found = 0;
  seaformer_detect(model, rgb.data(), 9, 11, 33, objects.data(), objects.size(), &found);
  if (found > objects.size()) std::abort();
  std::vector<uint8_t> labels(static_cast<std::size_t>(info.label_bytes) * 5 * 7);
  seaformer_labels(model, rgb.data(), 9, 11, 33, labels.data(), labels.size(), 5, 7);
  seaformer_close(model);
  return 0;
}
