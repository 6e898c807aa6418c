// The C API: errors instead of crashes, and one model in many threads.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "capi/seaformer.h"
#include "capi/thread_pool.h"
#include "check.h"
#include "guarded.h"
#include "kernels/pointwise/variants.h"
#include "plan_builder.h"

using namespace seaformer;
using test::AlignedBytes;
using test::check;

namespace {

class Model {
 public:
  explicit Model(const AlignedBytes& bytes) {
    check(seaformer_open_memory(bytes.data(), bytes.size(), &model_) == SEAFORMER_OK,
          seaformer_error());
  }
  ~Model() { seaformer_close(model_); }
  seaformer_model* get() const { return model_; }

 private:
  seaformer_model* model_ = nullptr;
};

void expect(seaformer_status got, seaformer_status status, const char* part) {
  const std::string message = seaformer_error();
  check(got == status, "expected status ", status, ", got ", got, ": ", message);
  check(message.find(part) != std::string::npos, "expected \"", part, "\", got \"", message, "\"");
}

// Rows of `stride` bytes that end where the image does.
struct Image {
  Image(int64_t height, int64_t width, int64_t stride)
      : height(height),
        width(width),
        stride(stride),
        rgb((height - 1) * stride + 3 * width, test::Against::kEnd) {
    for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(i * 31 % 251);
  }
  int64_t height, width, stride;
  test::Guarded<uint8_t> rgb;
};

std::vector<uint8_t> labels(const Model& model, const Image& image, int64_t height, int64_t width) {
  test::Guarded<uint8_t> out(height * width, test::Against::kEnd);
  check(seaformer_labels(model.get(), image.rgb.data(), image.height, image.width, image.stride,
                         out.data(), out.size(), height, width) == SEAFORMER_OK,
        seaformer_error());
  return {out.data(), out.data() + out.size()};
}

}  // namespace

TEST(capi_labels_do_not_depend_on_threads_or_stride) {
  const AlignedBytes bytes = test::small_segmenter();
  const Model model(bytes);
  Image dense(37, 50, 150), apart(37, 50, 163);
  for (int64_t y = 0; y < 37; ++y) {
    std::memcpy(apart.rgb.data() + y * 163, dense.rgb.data() + y * 150, 150);
  }
  const std::vector<uint8_t> expected = labels(model, dense, 41, 29);
  check(labels(model, apart, 41, 29) == expected, "another stride, other labels");
  for (const int32_t threads : {2, 5, 1}) {
    check(seaformer_set_threads(model.get(), threads) == SEAFORMER_OK, seaformer_error());
    check(labels(model, dense, 41, 29) == expected, threads, " threads, other labels");
  }
  check(seaformer_release_memory() > 0, "no memory was kept");
}

TEST(capi_runs_networks_of_any_steps) {
  const Image image(37, 50, 163);
  const auto logits = [&](const AlignedBytes& bytes, seaformer_task task) {
    const Model model(bytes);
    seaformer_model_info info;
    check(seaformer_info(model.get(), &info) == SEAFORMER_OK, seaformer_error());
    check(info.task == task && info.reads_rgb == 1, "wrong info");
    int64_t height, width;
    check(seaformer_logits_size(model.get(), 37, 50, &height, &width) == SEAFORMER_OK,
          seaformer_error());
    test::Guarded<float> out(height * width * info.classes, test::Against::kEnd);
    check(seaformer_logits(model.get(), image.rgb.data(), 37, 50, image.stride, out.data(),
                           out.size()) == SEAFORMER_OK,
          seaformer_error());
    return out.size();
  };
  check(logits(test::generic_classifier(), SEAFORMER_CLASSIFICATION) == 7, "other classes");
  const AlignedBytes map = test::generic_segmenter(19, Element::kF32, Task::kMap);
  check(logits(map, SEAFORMER_MAP) == 37 * 50 * 19, "another size");
  const AlignedBytes bytes = test::generic_segmenter();
  const Model model(bytes), other(map);
  labels(model, image, 37, 50);
  uint8_t label[1];
  expect(seaformer_labels(other.get(), image.rgb.data(), 37, 50, image.stride, label, 1, 1, 1),
         SEAFORMER_BAD_ARGUMENT, "a segmentation network");
}

TEST(capi_gives_all_maps) {
  const AlignedBytes bytes = test::small_pyramid();
  const Model model(bytes);
  const Image image(37, 50, 163);
  seaformer_model_info info;
  check(seaformer_info(model.get(), &info) == SEAFORMER_OK, seaformer_error());
  check(info.outputs == 5 && info.max_detections == 0, "another number of maps");
  std::deque<test::Guarded<float>> maps;
  std::vector<float*> places;
  std::vector<std::size_t> counts;
  for (int32_t k = 0; k < info.outputs; ++k) {
    int64_t channels, height, width;
    check(seaformer_map_size(model.get(), k, 37, 50, &channels, &height, &width) == SEAFORMER_OK,
          seaformer_error());
    maps.emplace_back(channels * height * width, test::Against::kEnd);
    places.push_back(maps.back().data());
    counts.push_back(maps.back().size());
  }
  const auto run = [&] {
    return seaformer_maps(model.get(), image.rgb.data(), 37, 50, image.stride, places.data(),
                          counts.data());
  };
  check(run() == SEAFORMER_OK, seaformer_error());
  for (const test::Guarded<float>& map : maps) {
    check(std::any_of(map.data(), map.data() + map.size(), [](float x) { return x != 0; }),
          "a map of zeros");
  }
  --counts[3];
  expect(run(), SEAFORMER_BAD_ARGUMENT, "numbers of a map, got");
  int64_t side;
  expect(seaformer_map_size(model.get(), 5, 37, 50, &side, &side, &side), SEAFORMER_BAD_ARGUMENT,
         "a map from 0 to 4, got 5");
  expect(seaformer_map_size(model.get(), -1, 37, 50, &side, &side, &side), SEAFORMER_BAD_ARGUMENT,
         "a map from 0 to 4, got -1");
}

TEST(capi_finds_objects) {
  const AlignedBytes bytes = test::small_detector(), segmenter = test::small_segmenter();
  const Model model(bytes), other(segmenter);
  const Image image(37, 50, 163);
  seaformer_model_info info;
  check(seaformer_info(model.get(), &info) == SEAFORMER_OK, seaformer_error());
  check(info.task == SEAFORMER_DETECTION && info.max_detections == 20, "wrong info");
  test::Guarded<seaformer_detection> objects(20, test::Against::kEnd);
  std::size_t count = 0;
  const auto detect = [&](const Model& m, std::size_t capacity) {
    return seaformer_detect(m.get(), image.rgb.data(), 37, 50, image.stride,
                            objects.data() + (20 - capacity), capacity, &count);
  };
  check(detect(model, 20) == SEAFORMER_OK, seaformer_error());
  check(count > 3 && count <= 20, "found ", count, " objects");
  const std::vector<seaformer_detection> all(objects.data(), objects.data() + count);
  for (std::size_t i = 0; i < count; ++i) {
    const seaformer_detection& o = all[i];
    check(o.x1 >= 0 && o.x1 <= o.x2 && o.x2 <= 50 && o.y1 >= 0 && o.y1 <= o.y2 && o.y2 <= 37,
          "a box outside the image");
    check(o.score > 0.3f && (i == 0 || o.score <= all[i - 1].score), "scores out of order");
    check(o.label >= 0 && o.label < info.classes, "class ", o.label);
  }
  for (const int32_t threads : {1, 3}) {
    check(seaformer_set_threads(model.get(), threads) == SEAFORMER_OK, seaformer_error());
    check(detect(model, 2) == SEAFORMER_OK && count == 2, seaformer_error());
    check(std::memcmp(objects.data() + 18, all.data(), 2 * sizeof all[0]) == 0, "not the best two");
  }
  expect(detect(model, 0), SEAFORMER_BAD_ARGUMENT, "room for a detection or more");
  expect(detect(other, 5), SEAFORMER_BAD_ARGUMENT, "a detector");
  expect(seaformer_detect(model.get(), image.rgb.data(), 37, 50, image.stride, nullptr, 20, &count),
         SEAFORMER_BAD_ARGUMENT, "null");
}

TEST(capi_serves_many_threads_at_once) {
  const AlignedBytes bytes = test::small_segmenter();
  const Model model(bytes);
  const Image image(40, 33, 99);
  const std::vector<uint8_t> expected = labels(model, image, 40, 33);
  std::vector<int> wrong(8);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 10; ++round) {
        // The pool changes under the calls that use it.
        seaformer_set_threads(model.get(), 1 + static_cast<int32_t>(t + round) % 4);
        wrong[t] += labels(model, image, 40, 33) != expected;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < wrong.size(); ++t) check(wrong[t] == 0, "thread ", t, " differs");
}

TEST(capi_tells_of_models) {
  const AlignedBytes bytes = test::small_segmenter(300);
  const Model model(bytes);
  seaformer_model_info info;
  check(seaformer_info(model.get(), &info) == SEAFORMER_OK, seaformer_error());
  check(info.task == SEAFORMER_SEGMENTATION && info.classes == 300 && info.label_bytes == 4 &&
            info.reads_rgb == 1 && info.threads == 1 && info.bytes == bytes.size() &&
            info.float16 == 0 && info.bfloat16 == 0 && info.int8 == 0,
        "wrong info");
  for (const Element element : {Element::kF16, Element::kBF16}) {
    const AlignedBytes mixed = test::small_segmenter(300, Element::kF32, element);
    const Model half(mixed);
    check(seaformer_info(half.get(), &info) == SEAFORMER_OK, seaformer_error());
    check(
        info.float16 == (element == Element::kF16) && info.bfloat16 == (element == Element::kBF16),
        "does not tell of ", element_name(element));
    const int32_t computes =
        element == Element::kF16 ? info.computes_float16 : info.computes_bfloat16;
    check(computes == (pointwise_kernel(element).isa != pointwise_kernel().isa),
          "wrong of what calculates with ", element_name(element));
  }
  const AlignedBytes quantized = test::small_segmenter(300, Element::kF32, Element::kI8);
  const Model int8(quantized);
  check(seaformer_info(int8.get(), &info) == SEAFORMER_OK, seaformer_error());
  check(info.int8 == 1 && info.float16 == 0, "does not tell of int8");
  int64_t height, width;
  check(seaformer_logits_size(model.get(), 33, 64, &height, &width) == SEAFORMER_OK &&
            height == 9 && width == 16,
        "logits of ", height, "x", width);
  check(std::strlen(seaformer_version()) > 0 && seaformer_isa() != nullptr, "no version or isa");
}

TEST(capi_answers_bad_calls) {
  const AlignedBytes bytes = test::small_segmenter(300), plain = test::small_classifier();
  const Model model(bytes), other(plain);
  seaformer_model* none = nullptr;
  seaformer_model_info info;
  const Image image(8, 8, 24);
  const uint8_t* rgb = image.rgb.data();
  std::vector<int32_t> out(64);
  std::vector<float> logits(300 * 4);
  const auto label = [&](const seaformer_model* m, const uint8_t* from, int64_t height,
                         int64_t width, int64_t stride, void* to, size_t room, int64_t out_height,
                         int64_t out_width) {
    return seaformer_labels(m, from, height, width, stride, to, room, out_height, out_width);
  };
  const auto bad = SEAFORMER_BAD_ARGUMENT;
  expect(seaformer_open(nullptr, &none), bad, "null pointer");
  expect(seaformer_open("x", nullptr), bad, "null pointer");
  expect(seaformer_open("/no/such/file", &none), SEAFORMER_NO_FILE, "No such file");
  expect(seaformer_open("/", &none), SEAFORMER_NO_FILE, "directory");
  expect(seaformer_open_memory(nullptr, 64, &none), bad, "null pointer");
  expect(seaformer_open_memory("", 0, &none), SEAFORMER_BAD_MODEL, "plan: expected");
  expect(seaformer_open_memory(bytes.data(), 80, &none), SEAFORMER_BAD_MODEL, "its header states");
  check(none == nullptr, "a failure makes a model");
  seaformer_close(nullptr);
  expect(seaformer_info(nullptr, &info), bad, "null pointer");
  expect(seaformer_info(model.get(), nullptr), bad, "null pointer");
  expect(seaformer_set_threads(model.get(), 0), bad, "1 to 256 threads, got 0");
  expect(seaformer_set_threads(model.get(), 257), bad, "got 257");
  expect(seaformer_force_isa("none"), bad, "none");
  int64_t side;
  expect(seaformer_logits_size(model.get(), 0, 8, &side, &side), bad, "height from 1");
  expect(seaformer_logits_size(model.get(), INT64_MAX, 8, &side, &side), bad, "height from 1");

  void* const to = out.data();
  expect(label(nullptr, rgb, 8, 8, 24, to, 256, 8, 8), bad, "null pointer");
  expect(label(model.get(), nullptr, 8, 8, 24, to, 256, 8, 8), bad, "null pointer");
  expect(label(model.get(), rgb, 8, 8, 24, nullptr, 256, 8, 8), bad, "null pointer");
  expect(label(model.get(), rgb, 0, 8, 24, to, 256, 8, 8), bad, "sides from 1");
  expect(label(model.get(), rgb, 8, INT64_MAX, 24, to, 256, 8, 8), bad, "sides from 1");
  expect(label(model.get(), rgb, 8, 8, 23, to, 256, 8, 8), bad, "at least 24 bytes apart, got 23");
  expect(label(model.get(), rgb, 8, 8, INT64_MAX, to, 256, 8, 8), bad, "bytes apart");
  expect(label(model.get(), rgb, 8, 8, 24, to, 256, 8, 0), bad, "labels with sides");
  expect(label(model.get(), rgb, 8, 8, 24, to, 64, 8, 8), bad, "256 bytes of labels, got 64");
  expect(label(model.get(), rgb, 8, 8, 24, reinterpret_cast<char*>(to) + 1, 16, 2, 2), bad,
         "aligned to 4");
  expect(label(other.get(), rgb, 8, 8, 24, to, 256, 8, 8), bad, "with a mean and std");
  expect(seaformer_logits(model.get(), rgb, 8, 8, 24, logits.data(), 1), bad, "1200 logits, got 1");
  check(seaformer_logits(model.get(), rgb, 8, 8, 24, logits.data(), 1200) == SEAFORMER_OK,
        seaformer_error());
}

TEST(capi_opens_files) {
  const AlignedBytes bytes = test::small_segmenter();
  char path[] = "seaformer-test-XXXXXX";
  const int descriptor = mkstemp(path);
  check(descriptor >= 0 &&
            write(descriptor, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
        "no file to write");
  close(descriptor);
  seaformer_model* model = nullptr;
  const seaformer_status status = seaformer_open(path, &model);
  std::remove(path);  // what is mapped stays
  check(status == SEAFORMER_OK, seaformer_error());
  const Image image(9, 8, 24);
  uint8_t out[4];
  check(seaformer_labels(model, image.rgb.data(), 9, 8, 24, out, 4, 2, 2) == SEAFORMER_OK,
        seaformer_error());
  seaformer_close(model);
}

TEST(thread_pool_runs_every_task_once) {
  for (const int64_t threads : {1, 2, 7}) {
    const ThreadPool pool(threads);
    check(pool.threads() == threads, "has ", pool.threads());
    std::vector<std::thread> callers;
    std::vector<std::string> faults(4);
    for (std::size_t c = 0; c < faults.size(); ++c) {
      callers.emplace_back([&, c] {
        for (int64_t tasks = 0; tasks < 40; ++tasks) {
          std::vector<int> times(tasks);
          pool.run(tasks, [&](int64_t task) { ++times[task]; });
          for (const int n : times) {
            if (n != 1) faults[c] = "a task ran " + std::to_string(n) + " times";
          }
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    for (const std::string& fault : faults) check(fault.empty(), fault);
  }
}
