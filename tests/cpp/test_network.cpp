// Whole networks against their blocks, one after another in memory of their own; and the memory.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "blocks/convert_elements.h"
#include "blocks/upsample_argmax.h"
#include "check.h"
#include "core/workspace.h"
#include "guarded.h"
#include "network/arena.h"
#include "network/memory_plan.h"
#include "network/network.h"
#include "on_isas.h"
#include "plan_builder.h"
#include "threads.h"

using namespace seaformer;
using test::AlignedBytes;
using test::check;
using test::Guarded;

namespace {

struct Image {
  Image(const MapShape& shape, uint32_t seed)
      : shape(shape), bytes(shape.pixels() * 3, test::Against::kEnd) {
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(random());
  }
  StemImages view() const { return interleaved_images(bytes.data(), shape); }
  MapShape shape;
  Guarded<uint8_t> bytes;
};

// What comes out as float32, of every step with arrays between guard pages that nothing else uses.
std::vector<std::vector<float>> maps_step_by_step(const Plan& plan, const Image& image) {
  std::vector<std::unique_ptr<Guarded<unsigned char>>> maps;
  std::vector<MapSize> sizes{{image.shape, 3}};
  maps.push_back(std::make_unique<Guarded<unsigned char>>(image.bytes.size() * sizeof(float),
                                                          test::Against::kEnd));
  const float* const by = plan.header().normalisation;
  for (std::size_t p = 0; p < image.bytes.size(); ++p) {
    const float value = (static_cast<float>(image.bytes[p]) - by[p % 3]) * by[3 + p % 3];
    std::memcpy(maps[0]->data() + p * sizeof value, &value, sizeof value);
  }
  const StemImages images = image.view();
  for (int64_t i = 0; i < plan.steps(); ++i) {
    const StepRecord& r = plan.step(i);
    const Step step{{plan.weights(i), r.residual != 0, sizes[r.inputs[0]], sizes[r.inputs[1]]}};
    sizes.push_back(
        kind_of(plan.weights(i)).output_size(plan.weights(i), step.call.input, step.call.coarse));
    const auto place = [&](int64_t elements, Element element) {
      return std::make_unique<Guarded<unsigned char>>(elements * bytes_of(element),
                                                      test::Against::kEnd);
    };
    maps.push_back(place(sizes.back().elements(), plan.map_type(i + 1).element));
    Guarded<unsigned char> workspace(step_workspace(step, 1), test::Against::kEnd);
    std::unique_ptr<Guarded<unsigned char>> inputs[2];
    const auto input = [&](int k) -> const void* {
      const uint32_t id = r.inputs[k];
      if (id == 0 && !plan.reads_pixels(i, k)) return nullptr;
      const MapType type = plan.read_type(i, k);
      inputs[k] = place(sizes[id].elements(), type.element);
      convert_elements(sizes[id].elements(), plan.map_type(id), maps[id]->data(), type,
                       inputs[k]->data(), Sequential());
      return inputs[k]->data();
    };
    run_step(step, {images, input(0), input(1), maps.back()->data(), nullptr, workspace.data()},
             Sequential());
  }
  std::vector<std::vector<float>> outputs;
  for (int64_t k = 0; k < plan.outputs(); ++k) {
    const int64_t map = plan.output(k);
    outputs.emplace_back(sizes[map].elements());
    convert_elements(sizes[map].elements(), plan.map_type(map), maps[map]->data(), {},
                     outputs.back().data(), Sequential());
  }
  return outputs;
}

std::vector<float> step_by_step(const Plan& plan, const Image& image) {
  return maps_step_by_step(plan, image)[0];
}

std::vector<float> logits(const Network& network, const Image& image, int64_t threads) {
  Guarded<float> out(network.logits_size(image.shape).elements(), test::Against::kEnd);
  network.logits(image.shape, image.view(), Element::kF32, out.data(), test::Threads(threads));
  return {out.data(), out.data() + out.size()};
}

// The same of all maps that come out, each as float32 or of its own type.
std::vector<std::vector<float>> outputs(const Network& network, const Image& image, bool own_types,
                                        int64_t threads) {
  const Plan& plan = network.plan();
  const std::vector<MapSize> sizes = network.output_sizes(image.shape);
  std::vector<std::unique_ptr<Guarded<unsigned char>>> places;
  std::vector<OutputMap> maps;
  for (int64_t k = 0; k < plan.outputs(); ++k) {
    const Element element = own_types ? plan.output_element(k) : Element::kF32;
    places.push_back(std::make_unique<Guarded<unsigned char>>(
        sizes[k].elements() * bytes_of(element), test::Against::kEnd));
    maps.push_back({places.back()->data(), element});
  }
  network.maps(image.shape, image.view(), maps, test::Threads(threads));
  std::vector<std::vector<float>> out;
  for (int64_t k = 0; k < plan.outputs(); ++k) {
    out.emplace_back(sizes[k].elements());
    const MapType type = own_types ? plan.map_type(plan.output(k)) : MapType{};
    convert_elements(sizes[k].elements(), type, maps[k].data, {}, out.back().data(), Sequential());
  }
  return out;
}

template <class Label>
std::vector<Label> labels(const Network& network, const Image& image, int64_t height, int64_t width,
                          int64_t threads) {
  Guarded<Label> out(image.shape.batch * height * width, test::Against::kEnd);
  network.labels(image.shape, image.view(), height, width, out.data(), test::Threads(threads));
  return {out.data(), out.data() + out.size()};
}

template <class Label>
std::vector<Label> labels_of(const Network& network, const Image& image,
                             const std::vector<float>& logits, int64_t height, int64_t width) {
  const MapSize size = network.logits_size(image.shape);
  const UpsampleArgmaxShape shape{size.batch, size.channels, size.height,
                                  size.width, height,        width};
  const Logits view = channels_last(logits.data(), shape);
  Guarded<unsigned char> workspace(upsample_argmax_workspace(shape, view, 1), test::Against::kEnd);
  std::vector<Label> out(size.batch * height * width);
  upsample_argmax(shape, view, out.data(), workspace.data(), Sequential());
  return out;
}

const MapShape kShapes[] = {{1, 1, 1}, {1, 5, 7}, {2, 33, 18}, {1, 64, 48}, {3, 8, 40}};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

template <class Body>
std::string fault(const Body& body) {
  try {
    body();
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

}  // namespace

TEST(network_logits_are_those_of_its_steps) {
  std::vector<AlignedBytes> plans;
  for (const Element first : kElements) {
    for (const Element second : kElements)
      plans.push_back(test::small_segmenter(19, first, second));
    plans.push_back(test::small_upsampler(19, first));
    plans.push_back(test::generic_classifier(first));
    plans.push_back(test::generic_segmenter(19, first));
    plans.push_back(test::attending_segmenter(19, first));
    plans.push_back(test::small_classifier(first));
    plans.back().header().normalizes = 1;  // so that it takes bytes
    plans.push_back(test::small_segmenter(19, first, Element::kI8));
    plans.push_back(test::small_segmenter(19, Element::kI8, first));
  }
  plans.push_back(test::small_segmenter(19, Element::kI8, Element::kI8));
  for (const AlignedBytes& bytes : plans) {
    const Network network(Plan(bytes.data(), bytes.size()));
    test::on_every_isa([&] {
      for (const MapShape& shape : kShapes) {
        const Image image(shape, 1);
        const std::vector<float> expected = step_by_step(network.plan(), image);
        for (const int64_t threads : {1, 2, 3, 8}) {
          check(same(logits(network, image, threads), expected), threads, " threads, ",
                shape.height, "x", shape.width, ": other logits");
        }
      }
    });
  }
}

TEST(network_maps_are_those_of_its_steps) {
  std::vector<AlignedBytes> plans;
  for (const Element element : {Element::kF32, Element::kF16, Element::kBF16, Element::kI8}) {
    for (const Element coarse : kElements) plans.push_back(test::small_pyramid(element, coarse));
    if (element != Element::kI8) plans.push_back(test::small_detector(element));
  }
  plans.push_back(test::small_segmenter());  // of an older version
  for (const AlignedBytes& bytes : plans) {
    const Network network(Plan(bytes.data(), bytes.size()));
    test::on_every_isa([&] {
      for (const MapShape& shape : kShapes) {
        const Image image(shape, 1);
        const std::vector<std::vector<float>> expected = maps_step_by_step(network.plan(), image);
        for (const bool own_types : {false, true}) {
          for (const int64_t threads : {1, 3}) {
            const std::vector<std::vector<float>> got = outputs(network, image, own_types, threads);
            for (std::size_t k = 0; k < expected.size(); ++k) {
              check(same(got[k], expected[k]), threads, " threads, ", shape.height, "x",
                    shape.width, ": another map ", k);
            }
          }
        }
      }
    });
  }
}

TEST(network_detections_are_those_of_its_maps) {
  for (const Element element : kElements) {
    const AlignedBytes bytes = test::small_detector(element);
    const Network network(Plan(bytes.data(), bytes.size()));
    test::on_every_isa([&] {
      for (const MapShape& shape : kShapes) {
        const Image image(shape, 1);
        const DetectionShape how = network.detection_shape(shape);
        const std::vector<MapSize> sizes = network.output_sizes(shape);
        const std::vector<std::vector<float>> maps = outputs(network, image, false, 1);
        const Plan& plan = network.plan();
        const auto count = static_cast<int64_t>(maps.size() / 2);
        std::vector<DetectionLevel> levels;
        for (int64_t l = 0; l < count; ++l) {
          const auto dense = [&](int64_t k) {
            return dense_maps(maps[k].data(), sizes[k], sizes[k].channels);
          };
          levels.push_back({dense(l), dense(count + l), plan.anchors() + l * how.anchors * 2,
                            plan.strides()[l]});
        }
        const auto found = [&](const auto& run) {
          std::vector<float> boxes(shape.batch * how.max_detections * 4);
          std::vector<float> scores(shape.batch * how.max_detections);
          std::vector<int64_t> classes(scores.size()), counts(shape.batch);
          run(Detections{boxes.data(), scores.data(), classes.data(), counts.data()});
          boxes.insert(boxes.end(), scores.begin(), scores.end());
          boxes.insert(boxes.end(), classes.begin(), classes.end());
          boxes.insert(boxes.end(), counts.begin(), counts.end());
          return boxes;
        };
        const auto expected = found([&](const Detections& to) {
          const Workspace workspace(detections_workspace(how, levels.data(), count, 1));
          decode_detections(how, levels.data(), count, to, workspace.data(), Sequential());
        });
        for (const int64_t threads : {1, 3}) {
          const auto got = found([&](const Detections& to) {
            network.detections(shape, image.view(), how, to, test::Threads(threads));
          });
          check(same(got, expected), threads, " threads, ", shape.height, "x", shape.width,
                ": other detections");
        }
      }
    });
  }
}

TEST(network_labels_are_those_of_its_logits) {
  // On both sides of a vector of classes, and of a byte.
  for (const int32_t classes : {5, 19, 300}) {
    std::vector<AlignedBytes> plans;
    for (const Element element : kElements) {
      plans.push_back(test::small_segmenter(classes, element, element));
      plans.push_back(test::small_upsampler(classes, element));
      plans.push_back(test::generic_segmenter(classes, element));
    }
    plans.push_back(test::small_segmenter(classes, Element::kI8, Element::kI8));
    for (const AlignedBytes& bytes : plans) {
      const Network network(Plan(bytes.data(), bytes.size()));
      test::on_every_isa([&] {
        for (const MapShape& shape : kShapes) {
          const Image image(shape, 2);
          const std::vector<float> of = step_by_step(network.plan(), image);
          for (const int64_t side : {1, 37}) {
            const bool good = classes <= 256 ? labels<uint8_t>(network, image, side, 41, 3) ==
                                                   labels_of<uint8_t>(network, image, of, side, 41)
                                             : labels<int32_t>(network, image, side, 41, 3) ==
                                                   labels_of<int32_t>(network, image, of, side, 41);
            check(good, classes, " classes, ", shape.height, "x", shape.width, ": other labels");
          }
        }
      });
    }
  }
}

TEST(network_of_a_half_type_is_near_that_of_float32) {
  const AlignedBytes exact = test::small_segmenter();
  const Network reference(Plan(exact.data(), exact.size()));
  for (const Element first : kElements) {
    for (const Element element : {Element::kF16, Element::kBF16}) {
      const bool coarse = first == Element::kBF16 || element == Element::kBF16;
      const double eps = coarse ? 0x1p-8 : 0x1p-11;
      const AlignedBytes bytes = test::small_segmenter(19, first, element);
      const Network network(Plan(bytes.data(), bytes.size()));
      check(bytes.size() < exact.size(), "it has ", bytes.size(), " of ", exact.size());
      test::on_every_isa([&] {
        const Image image({2, 33, 18}, 3);
        const std::vector<float> expected = logits(reference, image, 1);
        const std::vector<float> got = logits(network, image, 1);
        double largest = 0, error = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
          largest = std::max(largest, std::abs(double{expected[i]}));
          error = std::max(error, std::abs(double{got[i]} - expected[i]));
        }
        // Some ten roundings in a row, that add up at random.
        check(error <= 16 * largest * eps, element_name(element), ": logits up to ", largest,
              " differ by ", error);
        check(error > 0, element_name(element), " made no difference");
      });
    }
  }
}

TEST(network_runs_in_many_threads_at_once) {
  const AlignedBytes bytes = test::small_segmenter();
  const Network network(Plan(bytes.data(), bytes.size()));
  std::vector<int> wrong(8);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 20; ++round) {
        const Image image({1 + static_cast<int64_t>(t) % 2, 20 + 3 * round, 17 + 5 * round},
                          static_cast<uint32_t>(t));
        wrong[t] += !same(logits(network, image, 1), step_by_step(network.plan(), image));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < wrong.size(); ++t) check(wrong[t] == 0, "thread ", t, " differs");
}

TEST(network_refuses_what_it_cannot_run) {
  const AlignedBytes segmenter = test::small_segmenter(300), plain = test::small_classifier();
  const Network network(Plan(segmenter.data(), segmenter.size()));
  const Network other(Plan(plain.data(), plain.size()));
  const Image image({1, 4, 4}, 1);
  float out[64];
  uint8_t label[1];
  const auto expect = [](const std::string& got, const char* part) {
    check(got.find(part) != std::string::npos, "expected \"", part, "\", got \"", got, "\"");
  };
  const Sequential one;
  for (const MapShape& shape : {MapShape{0, 4, 4},
                                {1, 0, 4},
                                {1, 4, -1},
                                {1, 4, 1 << 25},
                                {int64_t{1} << 40, 4, 4},
                                {1, 1 << 24, 1 << 24}}) {
    expect(fault([&] { network.logits(shape, image.view(), Element::kF32, out, one); }),
           "network: expected");
  }
  expect(fault([&] { other.logits(image.shape, image.view(), Element::kF32, out, one); }),
         "normalised float32");
  StemImages floats = image.view();
  floats.bytes = false;
  expect(fault([&] { other.labels(image.shape, floats, 1, 1, label, one); }), "a segmentation");
  expect(fault([&] { network.labels(image.shape, image.view(), 1, 1, label, one); }), "256");
  const AlignedBytes pyramid = test::small_pyramid();
  const Network several(Plan(pyramid.data(), pyramid.size()));
  expect(fault([&] { several.logits_size(image.shape); }), "one map comes out, got one of 5");
  expect(fault([&] { several.logits(image.shape, image.view(), Element::kF32, out, one); }),
         "one map comes out, got one of 5");
  expect(fault([&] { several.maps(image.shape, image.view(), {{out, Element::kF32}}, one); }),
         "room for the 5 maps that come out, got that for 1");
  int32_t wide[1];
  expect(fault([&] { network.labels(image.shape, image.view(), 0, 1, wide, one); }), "a height");
}

TEST(memory_plan_keeps_arrays_apart) {
  std::mt19937 random(3);
  const auto below = [&](uint32_t n) { return static_cast<int64_t>(random() % n); };
  for (int round = 0; round < 200; ++round) {
    const int64_t steps = 1 + below(20);
    std::vector<Slot> slots;
    for (int64_t i = 0; i < below(60); ++i) {
      const int64_t first = below(steps);
      slots.push_back(
          {static_cast<std::size_t>(below(3) * below(5000)), first, first + below(steps - first)});
    }
    const std::size_t total = place_slots(slots);
    std::size_t sum = 0, most = 0;
    for (const Slot& a : slots) {
      sum += align_up(a.bytes);
      check(a.offset % kWorkspaceAlignment == 0 && a.offset + a.bytes <= total, "a slot at ",
            a.offset, " of ", total);
      for (const Slot& b : slots) {
        const bool at_once = a.first <= b.last && b.first <= a.last;
        const bool apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
        check(&a == &b || !at_once || apart, "slots at ", a.offset, " and ", b.offset);
      }
    }
    for (int64_t step = 0; step < steps; ++step) {
      std::size_t used = 0;
      for (const Slot& a : slots) used += a.first <= step && step <= a.last ? a.bytes : 0;
      most = std::max(most, used);
    }
    check(most <= total && total <= sum, most, " <= ", total, " <= ", sum);
  }
}

TEST(memory_plan_reuses_what_is_dead) {
  // A chain of equal maps takes two of them.
  std::vector<Slot> slots;
  for (int64_t i = 0; i < 10; ++i) slots.push_back({1024, i, i + 1});
  check(place_slots(slots) == 2048, "a chain takes ", place_slots(slots));
}

namespace {

// Memory of this process that is in use, or 0 where there is no such file.
std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t pages = 0, resident = 0;
  file >> pages >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST(arenas_release_resident_memory) {
  if (resident_bytes() == 0) return;
  release_arenas();
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t bytes : {std::size_t{300} << 10, std::size_t{3} << 20,
                                    std::size_t{9} << 20, std::size_t{20} << 20}) {
      test::Threads(3).run(3, [&](int64_t) {
        const Arena arena(bytes);
        std::memset(arena.data(), 1, bytes);
      });
      const Arena arena(bytes);
      const auto address = reinterpret_cast<uintptr_t>(arena.data());
      const std::size_t unit = bytes < std::size_t{2} << 20 ? kWorkspaceAlignment : 2 << 20;
      check(address % unit == 0, bytes, " bytes begin at ", address);
    }
    const std::size_t before = resident_bytes(), released = release_arenas();
    const std::size_t after = resident_bytes();
    // At least one was filled at the largest size.
    check(released >= std::size_t{20} << 20, "released ", released);
    check(after + (std::size_t{20} << 20) <= before + (std::size_t{1} << 20), "released ", released,
          " bytes, but ", before, " resident ones became ", after);
  }
}

TEST(arenas_of_impossible_size_are_refused) {
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / 4}) {
    bool refused = false;
    try {
      const Arena arena(bytes);
    } catch (const std::bad_alloc&) {
      refused = true;
    }
    check(refused, bytes, " bytes are given");
  }
}

TEST(arenas_are_kept_and_released) {
  release_arenas();
  const unsigned char* first;
  {
    const Arena arena(1000), second(3 << 20);
    first = arena.data();
    check(reinterpret_cast<uintptr_t>(first) % kWorkspaceAlignment == 0, "it is not aligned");
    check(first != second.data(), "two arenas are one");
    second.data()[(3 << 20) - 1] = 1;
  }
  {
    const Arena again(500);
    check(again.data() == first, "the smaller arena was idle");
  }
  {
    const Arena grown(5 << 20);
  }  // in place of the larger one
  const std::size_t bytes = release_arenas();
  check(bytes >= (5u << 20) + 1000 && bytes < (7u << 20), "released ", bytes, " bytes");
  check(release_arenas() == 0, "nothing is left");
}
