// What a plan must be, and every kind of damage to one: a clear error, never a crash.
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "network/checksum.h"
#include "network/network.h"
#include "network/plan.h"
#include "plan_builder.h"

using namespace seaformer;
using test::AlignedBytes;
using test::check;

namespace {

// The message of the error that a plan makes, or nothing.
std::string fault(const AlignedBytes& bytes, bool checksum = false) {
  try {
    const Plan plan(bytes.data(), bytes.size());
    if (checksum) plan.verify_checksum();
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

template <class Damage>
void expect_fault(const AlignedBytes& good, const char* part, const Damage& damage) {
  AlignedBytes bytes = good;
  damage(bytes);
  bytes.seal();
  const std::string message = fault(bytes, true);
  check(message.find(part) != std::string::npos, "expected a message with \"", part, "\", got \"",
        message, "\"");
}

// Runs what the checks let through, on an image of few pixels; the first map that comes out.
std::vector<float> run(const AlignedBytes& bytes) {
  const Network network(Plan(bytes.data(), bytes.size()));
  const MapShape shape{1, 5, 7};
  test::Guarded<float> image(3 * 5 * 7, test::Against::kEnd);
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i % 7);
  std::vector<MapSize> sizes;
  try {
    sizes = network.output_sizes(shape);
  } catch (const std::invalid_argument&) {  // such images do not go through it
    return {};
  }
  std::vector<std::unique_ptr<test::Guarded<float>>> maps;
  std::vector<OutputMap> outputs;
  for (const MapSize& size : sizes) {
    maps.push_back(std::make_unique<test::Guarded<float>>(size.elements(), test::Against::kEnd));
    outputs.push_back({maps.back()->data(), Element::kF32});
  }
  network.maps(shape, interleaved_images(image.data(), shape), outputs, Sequential());
  return {maps[0]->data(), maps[0]->data() + maps[0]->size()};
}

// Of every format, task and element type.
std::vector<AlignedBytes> good_plans() {
  return {test::small_segmenter(),    test::small_upsampler(),
          test::small_classifier(),   test::small_segmenter(19, Element::kI8, Element::kI8),
          test::generic_classifier(), test::generic_segmenter(),
          test::small_pyramid(),      test::small_detector(),
          test::attending_segmenter()};
}

}  // namespace

TEST(checksum_is_crc32) {
  check(crc32("", 0) == 0, "got ", crc32("", 0));
  check(crc32("123456789", 9) == 0xCBF43926u, "got ", crc32("123456789", 9));
  const char* text = "The quick brown fox jumps over the lazy dog";
  check(crc32(text, 43) == 0x414FA339u, "got ", crc32(text, 43));
}

TEST(plan_accepts_good_ones) {
  for (const AlignedBytes& bytes : good_plans()) {
    check(fault(bytes, true).empty(), fault(bytes, true));
    run(bytes);
  }
}

// Version 1 had no field for classes: a segmentation head's lay in kernel_size.
TEST(plan_of_weights_of_version_1_computes_the_same) {
  for (const AlignedBytes& today : {test::small_segmenter(), test::small_classifier()}) {
    AlignedBytes old = today;
    for (int64_t i = 0; i < old.header().steps; ++i) {
      PackedHeader& weights = old.weights(i);
      weights.version = 1;
      if (weights.classes > 0) weights.kernel_size = weights.classes;
      weights.classes = 0;
    }
    old.seal();
    check(fault(old, true).empty(), fault(old, true));
    const std::vector<float> expected = run(today), got = run(old);
    check(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)) == 0 &&
              got.size() == expected.size(),
          "logits differ");
  }
}

TEST(plan_names_what_is_wrong) {
  const AlignedBytes good = test::small_segmenter();
  expect_fault(good, "do not begin", [](AlignedBytes& b) { b.header().magic[0] = 's'; });
  expect_fault(good, "version 1 to 5, got version 6",
               [](AlignedBytes& b) { b.header().version = 6; });
  expect_fault(good, "that its header states", [](AlignedBytes& b) { b.header().bytes += 1; });
  expect_fault(good, "expected task", [](AlignedBytes& b) { b.header().task = 3; });
  expect_fault(good, "as its last only", [](AlignedBytes& b) { b.header().task = 2; });
  expect_fault(good, "19 classes of its head", [](AlignedBytes& b) { b.header().classes = 20; });
  expect_fault(good, "2 to 1024 steps", [](AlignedBytes& b) { b.header().steps = 1; });
  expect_fault(good, "2 to 1024 steps", [](AlignedBytes& b) { b.header().steps = 1u << 31; });
  expect_fault(good, "weights of step 0", [](AlignedBytes& b) { b.header().steps = 7; });
  expect_fault(good, "reserved fields", [](AlignedBytes& b) { b.header().normalisation[3] = 1; });
  expect_fault(good, "known kind", [](AlignedBytes& b) { b.step(1).kind = 99; });
  expect_fault(good, "of kind 3, got kind 2", [](AlignedBytes& b) { b.step(1).kind = 3; });
  expect_fault(good, "weights of step 2", [](AlignedBytes& b) { b.step(2).offset += 64; });
  expect_fault(good, "weights of step 2", [](AlignedBytes& b) { b.step(2).offset = ~0ull - 63; });
  expect_fault(good, "weights of step 7", [](AlignedBytes& b) { b.step(7).bytes = ~0ull; });
  expect_fault(good, "version 1 to 5, got version 6",
               [](AlignedBytes& b) { b.weights(1).version = 6; });
  expect_fault(good, "layout version 4, got 7 in version 3",
               [](AlignedBytes& b) { b.weights(1).version = 3, b.weights(1).element = 7; });
  expect_fault(good, "layout version 4, got 1 in version 4",
               [](AlignedBytes& b) { b.weights(1).version = 4, b.weights(1).element = 1; });
  const AlignedBytes half = test::small_segmenter(19, Element::kF16, Element::kF16);
  expect_fault(half, "expected float32 weights in a plan of format version 1",
               [](AlignedBytes& b) { b.header().version = 1; });
  expect_fault(half, "bytes, got", [](AlignedBytes& b) { b.weights(1).element = 0; });
  expect_fault(good, "version 1 to 5, got version 0",
               [](AlignedBytes& b) { b.weights(1).version = 0; });
  const AlignedBytes int8 = test::small_segmenter(19, Element::kI8, Element::kI8);
  expect_fault(int8, "weights of floats in a plan of format version 2",
               [](AlignedBytes& b) { b.header().version = 2; });
  const auto numbers = [](AlignedBytes& b, int64_t step) -> QuantizedNumbers& {
    return *reinterpret_cast<QuantizedNumbers*>(&b.weights(step) + 1);
  };
  expect_fault(int8, "scales above 0", [&](AlignedBytes& b) { numbers(b, 1).input_scale = -1.0f; });
  expect_fault(int8, "scales above 0", [&](AlignedBytes& b) { numbers(b, 2).output_scale = NAN; });
  expect_fault(int8, "counts less than", [&](AlignedBytes& b) { numbers(b, 1).ratio = 32768; });
  expect_fault(int8, "inner scales", [&](AlignedBytes& b) { numbers(b, 3).inner[1] = INFINITY; });
  expect_fault(good, "classes, got 0", [](AlignedBytes& b) { b.weights(7).classes = 0; });
  expect_fault(good, "that was written", [](AlignedBytes& b) { b.step(2).inputs[0] = 3; });
  expect_fault(good, "that was written", [](AlignedBytes& b) { b.step(2).inputs[0] = 0; });
  expect_fault(good, "that was written", [](AlignedBytes& b) { b.step(6).inputs[1] = ~0u; });
  expect_fault(good, "to read 8 channels", [](AlignedBytes& b) { b.step(5).inputs[0] = 2; });
  expect_fault(good, "every map", [](AlignedBytes& b) {
    b.step(5).inputs[0] = 4;
    b.step(6).inputs[1] = 4;
  });
  expect_fault(good, "unused fields", [](AlignedBytes& b) { b.step(3).inputs[1] = 1; });
  expect_fault(good, "unused fields", [](AlignedBytes& b) { b.step(3).reserved[7] = 1; });
  expect_fault(good, "without a residual", [](AlignedBytes& b) { b.step(2).residual = 1; });
  expect_fault(good, "without a residual", [](AlignedBytes& b) { b.step(1).residual = 2; });
}

TEST(plan_names_what_is_wrong_with_a_head_that_upsamples) {
  const AlignedBytes good = test::small_upsampler();
  expect_fault(good, "as its last only", [](AlignedBytes& b) { b.header().task = 2; });
  expect_fault(good, "of kind 8, got kind 2", [](AlignedBytes& b) { b.step(4).kind = 8; });
  expect_fault(good, "19 classes of its head", [](AlignedBytes& b) { b.header().classes = 20; });
  const AlignedBytes int8 = test::small_segmenter(19, Element::kI8, Element::kI8);
  expect_fault(int8, "weights of floats in a plan of format version 2",
               [](AlignedBytes& b) { b.header().version = 2; });
  const auto numbers = [](AlignedBytes& b, int64_t step) -> QuantizedNumbers& {
    return *reinterpret_cast<QuantizedNumbers*>(&b.weights(step) + 1);
  };
  expect_fault(int8, "scales above 0", [&](AlignedBytes& b) { numbers(b, 1).input_scale = -1.0f; });
  expect_fault(int8, "scales above 0", [&](AlignedBytes& b) { numbers(b, 2).output_scale = NAN; });
  expect_fault(int8, "counts less than", [&](AlignedBytes& b) { numbers(b, 1).ratio = 32768; });
  expect_fault(int8, "inner scales", [&](AlignedBytes& b) { numbers(b, 3).inner[1] = INFINITY; });
  expect_fault(good, "classes, got 0", [](AlignedBytes& b) { b.weights(5).classes = 0; });
  expect_fault(good, "classes, got -5", [](AlignedBytes& b) { b.weights(5).classes = -5; });
  expect_fault(good, "expected packed weights of",
               [](AlignedBytes& b) { b.weights(5).classes = 1 << 20; });
  expect_fault(good, "without an expansion", [](AlignedBytes& b) { b.weights(5).flags = 1; });
  expect_fault(good, "without an expansion",
               [](AlignedBytes& b) { b.weights(5).hidden_channels = 10; });
  expect_fault(good, "kernel size 3 or 5, got 1",
               [](AlignedBytes& b) { b.weights(5).kernel_size = 1; });
  expect_fault(good, "of stride 1, got 2", [](AlignedBytes& b) { b.weights(5).stride = 2; });
  expect_fault(good, "a known activation, got code 3",
               [](AlignedBytes& b) { b.weights(5).depthwise_activation = 3; });
  expect_fault(good, "unused fields", [](AlignedBytes& b) { b.step(5).inputs[1] = 1; });
  expect_fault(good, "without a residual", [](AlignedBytes& b) { b.step(5).residual = 1; });
  // Two heads: the first of them is no step of a network.
  test::PlanBuilder two(Task::kSegmentation, true);
  two.upsampling_head(two.upsampling_head(two.stem(6), 6, 8, 5), 5, 8, 5);
  check(fault(two.finish()).find("as its last only") != std::string::npos,
        "two heads: ", fault(two.finish()));
}

TEST(plan_tells_the_size_of_logits) {
  const AlignedBytes plain = test::small_segmenter(), twice = test::small_upsampler();
  for (const int64_t height : {1, 8, 9, 33}) {
    const MapShape shape{2, height, 2 * height};
    const MapSize once = Network(Plan(plain.data(), plain.size())).logits_size(shape);
    const MapSize size = Network(Plan(twice.data(), twice.size())).logits_size(shape);
    check(once.height == (height + 3) / 4 && size.height == 2 * ((height + 3) / 4) &&
              size.width == 2 * ((2 * height + 3) / 4) && size.batch == 2 && size.channels == 19,
          "of ", height, " rows: ", once.height, " and ", size.height);
  }
}

TEST(plan_checksum_finds_damage) {
  AlignedBytes bytes = test::small_segmenter();
  bytes.data()[bytes.size() - 1] ^= 1;
  check(fault(bytes).empty(), "the weights are not looked at, yet: ", fault(bytes));
  check(fault(bytes, true).find("damaged") != std::string::npos, "got ", fault(bytes, true));
}

TEST(plan_refuses_every_truncation) {
  for (const AlignedBytes& good : good_plans()) {
    for (std::size_t length = 0; length < good.size(); ++length) {
      AlignedBytes bytes(good.data(), length);
      check(!fault(bytes).empty(), length, " bytes are accepted");
      if (length < sizeof(PlanHeader)) continue;
      bytes.header().bytes = length;
      check(!fault(bytes).empty(), length, " bytes that say so are accepted");
      // As before, but nothing behind the last byte can be read.
      if (length % 8 != 0) continue;
      test::Guarded<unsigned char> guarded(length, test::Against::kEnd);
      std::memcpy(guarded.data(), bytes.data(), length);
      try {
        const Plan plan(guarded.data(), length);
        check(false, length, " guarded bytes are accepted");
      } catch (const std::invalid_argument&) {
      }
    }
  }
}

TEST(plan_survives_every_changed_byte) {
  for (const AlignedBytes& good : good_plans()) {
    AlignedBytes steps = good;
    const int64_t count = steps.header().steps;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < steps.step(0).offset; ++i) places.push_back(i);
    for (int64_t i = 0; i < count; ++i) {
      for (std::size_t k = 0; k < sizeof(PackedHeader); ++k) {
        places.push_back(steps.step(i).offset + k);
      }
    }
    int64_t refused = 0, run_anyway = 0;
    for (const std::size_t place : places) {
      for (const int change : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        AlignedBytes bytes = good;
        bytes.data()[place] ^= change;
        bytes.seal();
        if (fault(bytes, true).empty()) {
          run(bytes);
          ++run_anyway;
        } else {
          ++refused;
        }
      }
    }
    check(refused > run_anyway && run_anyway > 0, refused, " refused, ", run_anyway, " run");
  }
}

TEST(plan_names_what_is_wrong_with_steps_of_any_kind) {
  const AlignedBytes good = test::generic_classifier();
  expect_fault(good, "a stem as its first step", [](AlignedBytes& b) {
    b.header().version = 3;
    for (float& number : b.header().normalisation) number = 0;
  });
  expect_fault(good, "zeros in reserved fields", [](AlignedBytes& b) { b.header().version = 3; });
  expect_fault(good, "task 1 (segmentation) to 3", [](AlignedBytes& b) { b.header().task = 4; });
  expect_fault(good, "numbers to normalise with",
               [](AlignedBytes& b) { b.header().normalisation[4] = NAN; });
  expect_fault(good, "zeros in reserved fields",
               [](AlignedBytes& b) { b.header().normalizes = 0; });
  expect_fault(good, "to read 6 channels, got the 3",
               [](AlignedBytes& b) { b.step(1).inputs[0] = 0; });
  AlignedBytes map = test::generic_segmenter(19, Element::kF32, Task::kMap);
  check(fault(map).empty(), fault(map));
  expect_fault(map, "end with one pixel", [](AlignedBytes& b) { b.header().task = 2; });
  expect_fault(map, "as many hidden and output",
               [](AlignedBytes& b) { b.weights(5).in_channels = 5; });
  expect_fault(map, "of mode 0 to 2", [](AlignedBytes& b) { b.weights(6).heads = 3; });
  expect_fault(map, "as both maps have", [](AlignedBytes& b) { b.weights(7).hidden_channels = 5; });
  expect_fault(map, "upsample 1 to 16", [](AlignedBytes& b) { b.weights(8).stride = 0; });
  expect_fault(map, "flags of a pool", [](AlignedBytes& b) { b.weights(2).flags = 32; });
  expect_fault(map, "half a window", [](AlignedBytes& b) { b.weights(2).classes = 2; });
  expect_fault(map, "kernel of 1x1 to 7x7", [](AlignedBytes& b) { b.weights(2).heads = 8; });
  expect_fault(map, "with stride 1 to 4", [](AlignedBytes& b) { b.weights(2).stride = 5; });
  const AlignedBytes attending = test::attending_segmenter();
  check(fault(attending).empty(), fault(attending));
  expect_fault(attending, "with a stride of 1 to 16",
               [](AlignedBytes& b) { b.weights(3).stride = 0; });
  expect_fault(attending, "1 to 1048576 hidden channels",
               [](AlignedBytes& b) { b.weights(3).hidden_channels = 0; });
  expect_fault(attending, "to read 7 channels, got the 8",
               [](AlignedBytes& b) { b.weights(3).hidden_channels = 7; });
  for (const int32_t number : {0, -3, 4, 1 << 30}) {
    expect_fault(attending, "whose heads divide",
                 [=](AlignedBytes& b) { b.weights(5).heads = number; });
    expect_fault(attending, "whose heads divide",
                 [=](AlignedBytes& b) { b.weights(5).key_dim = number; });
  }
  expect_fault(attending, "no activation or relu or relu6",
               [](AlignedBytes& b) { b.weights(5).expand_activation = 3; });
  for (const int32_t first : {-1, 5, INT32_MAX}) {
    expect_fault(attending, "channels among 12",
                 [=](AlignedBytes& b) { b.weights(6).hidden_channels = first; });
  }
  expect_fault(attending, "as many hidden and output",
               [](AlignedBytes& b) { b.weights(7).hidden_channels = 6; });
  expect_fault(attending, "of mode 0 to 2", [](AlignedBytes& b) { b.weights(7).heads = 3; });
  test::PlanBuilder stems(Task::kMap, true);
  stems.map_step(PackedKind::kConcat, stems.stem(6), 6, stems.stem(5), 5, 11);
  check(fault(stems.finish()).find("a stem as its first step only") != std::string::npos,
        "two stems: ", fault(stems.finish()));
}

TEST(plan_names_what_is_wrong_with_outputs) {
  const AlignedBytes good = test::small_pyramid();
  const auto outputs = [](AlignedBytes& b) -> OutputsRecord& {
    return *reinterpret_cast<OutputsRecord*>(&b.step(b.header().steps));
  };
  const auto maps = [&](AlignedBytes& b) { return reinterpret_cast<uint32_t*>(&outputs(b) + 1); };
  expect_fault(good, "at byte", [](AlignedBytes& b) { b.header().version = 4; });
  expect_fault(good, "1 to 64 maps", [&](AlignedBytes& b) { outputs(b).maps = 0; });
  expect_fault(good, "1 to 64 maps", [&](AlignedBytes& b) { outputs(b).maps = 65; });
  expect_fault(good, "1 to 1 maps", [&](AlignedBytes& b) { b.header().task = 1; });
  expect_fault(good, "where there is no detection", [&](AlignedBytes& b) { outputs(b).most = 1; });
  expect_fault(good, "where there is no detection",
               [&](AlignedBytes& b) { outputs(b).score_threshold = -0.0f; });
  expect_fault(good, "reserved fields of its outputs",
               [&](AlignedBytes& b) { outputs(b).reserved[8] = 1; });
  for (const uint32_t map : {0u, 2u, 9u, ~0u}) {
    expect_fault(good, "different maps of 1 to 8", [&](AlignedBytes& b) {
      maps(b)[1] = map;
      maps(b)[2] = 2;
    });
  }
  expect_fault(good, "5 classes of its head", [](AlignedBytes& b) { b.header().classes = 6; });
  expect_fault(good, "every map", [&](AlignedBytes& b) { maps(b)[3] = 2; });
  expect_fault(good, "share all weights of an earlier step",
               [](AlignedBytes& b) { b.step(6).bytes -= 64; });
  expect_fault(good, "share all weights of an earlier step",
               [](AlignedBytes& b) { b.step(6).offset -= 64; });
  expect_fault(good, "share all weights of an earlier step", [](AlignedBytes& b) {
    b.step(6).kind = static_cast<uint32_t>(PackedKind::kDepthwise);
  });
  expect_fault(good, "share all weights of an earlier step",
               [](AlignedBytes& b) { b.step(5).offset = b.step(0).offset; });
}

TEST(plan_names_what_is_wrong_with_a_detector) {
  const AlignedBytes good = test::small_detector();
  const auto outputs = [](AlignedBytes& b) -> OutputsRecord& {
    return *reinterpret_cast<OutputsRecord*>(&b.step(b.header().steps));
  };
  const auto expect = [&](const char* part, void (*damage)(OutputsRecord&)) {
    expect_fault(good, part, [&](AlignedBytes& b) { damage(outputs(b)); });
  };
  expect("two maps of each", [](OutputsRecord& o) { o.maps = 3; });
  expect("two maps of each", [](OutputsRecord& o) { o.levels = 0, o.maps = 0; });
  expect("two maps of each", [](OutputsRecord& o) { o.levels = 1u << 31, o.maps = 0; });
  expect("two maps of each", [](OutputsRecord& o) { o.levels = 33, o.maps = 66; });
  expect("1 to 64 anchors", [](OutputsRecord& o) { o.anchors = 0; });
  expect("1 to 64 anchors", [](OutputsRecord& o) { o.anchors = 65; });
  expect("1 to 65536 boxes", [](OutputsRecord& o) { o.top_k = 0; });
  expect("1 to 65536 boxes", [](OutputsRecord& o) { o.most = 65537; });
  expect("thresholds from 0 to 1", [](OutputsRecord& o) { o.score_threshold = NAN; });
  expect("thresholds from 0 to 1", [](OutputsRecord& o) { o.iou_threshold = 1.5f; });
  expect_fault(good, "to have 3 classes and 4 sides of each of 3 anchors, got 6 and 12 channels",
               [](AlignedBytes& b) { b.header().classes = 3; });
  const auto behind = [&](AlignedBytes& b) {
    return reinterpret_cast<uint32_t*>(&outputs(b) + 1) + 4;
  };
  expect_fault(good, "levels of 1 to 65536 pixels", [&](AlignedBytes& b) { behind(b)[1] = 0; });
  for (const uint32_t bits : {0u, 0x80000000u, 0xBF800000u, 0x7F800000u, 0x7FC00000u}) {
    expect_fault(good, "sides above 0", [&](AlignedBytes& b) { behind(b)[2 + 11] = bits; });
  }
  expect_fault(good, "got 12 and 6 channels",
               [&](AlignedBytes& b) { std::swap(behind(b)[-4], behind(b)[-2]); });
  expect_fault(good, "expected task", [](AlignedBytes& b) { b.header().task = 5; });
  expect_fault(good, "1 to 1 maps", [](AlignedBytes& b) { b.header().task = 2; });
}

TEST(plan_limits_channels) {
  test::PlanBuilder wide(Task::kClassification, false);
  wide.classification_head(wide.stem(kMaxMapChannels + 1), kMaxMapChannels + 1, 2);
  check(fault(wide.finish()).find("at most 4096 channels") != std::string::npos, "accepted");
  test::PlanBuilder hidden(Task::kClassification, false);
  const uint32_t map =
      hidden.inverted_residual(hidden.stem(1), 1, kMaxHiddenChannels + 1, 1, 3, 1, false);
  hidden.classification_head(map, 1, 2);
  check(fault(hidden.finish()).find("hidden ones") != std::string::npos, "accepted");
}

TEST(plan_needs_alignment) {
  const AlignedBytes good = test::small_classifier();
  try {
    const Plan plan(good.data() + 4, good.size() - 4);
    check(false, "accepted");
  } catch (const std::invalid_argument& error) {
    check(std::string(error.what()).find("aligned to 8") != std::string::npos, error.what());
  }
}
