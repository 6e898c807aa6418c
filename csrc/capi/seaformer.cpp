#include "capi/seaformer.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "blocks/pointwise.h"
#include "capi/model_file.h"
#include "capi/thread_pool.h"
#include "core/cpu.h"
#include "core/require.h"
#include "network/arena.h"
#include "network/network.h"

using namespace seaformer;

struct seaformer_model {
  seaformer_model(std::unique_ptr<ModelFile> file, const void* data, std::size_t bytes)
      : file(std::move(file)), network(Plan(data, bytes)) {
    network.plan().verify_checksum();
  }

  std::shared_ptr<const Parallel> parallel() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return threads;
  }

  std::unique_ptr<ModelFile> file;  // if it is not the caller's memory
  Network network;
  mutable std::mutex mutex;
  std::shared_ptr<const Parallel> threads = std::make_shared<Sequential>();
};

namespace {

constexpr int32_t kMaxThreads = 256;

// A fixed array: there may be no memory for the message that there is none.
thread_local char error_message[512] = "";

seaformer_status failed(seaformer_status status, const char* message) {
  std::snprintf(error_message, sizeof error_message, "%s", message);
  return status;
}

// A file or memory that holds no good model.
struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Runs the body of a function.
template <class Body>
seaformer_status guarded(const Body& body) noexcept {
  try {
    body();
    return SEAFORMER_OK;
  } catch (const ModelError& error) {
    return failed(SEAFORMER_BAD_MODEL, error.what());
  } catch (const FileError& error) {
    return failed(SEAFORMER_NO_FILE, error.what());
  } catch (const std::bad_alloc&) {
    return failed(SEAFORMER_NO_MEMORY, "expected enough memory for the call, got none");
  } catch (const std::system_error& error) {
    return failed(SEAFORMER_NO_THREADS, error.what());
  } catch (const std::exception& error) {
    return failed(SEAFORMER_BAD_ARGUMENT, error.what());
  }
}

template <class... Pointers>
void require_pointers(const char* function, const Pointers*... pointers) {
  require((... && (pointers != nullptr)), function, ": expected no null pointer, got one");
}

struct Image {
  MapShape shape;
  StemImages view;
};

Image checked_image(const char* function, const seaformer_model& model, const uint8_t* rgb,
                    int64_t height, int64_t width, int64_t row_stride) {
  require(model.network.plan().header().normalizes == 1, function,
          ": expected a model that was exported with a mean and std, got one without");
  require(height >= 1 && height <= kMaxImageSide && width >= 1 && width <= kMaxImageSide, function,
          ": expected an image with sides from 1 to ", kMaxImageSide, " pixels, got ", height, "x",
          width);
  require(row_stride >= 3 * width && row_stride <= INT64_MAX / kMaxImageSide, function,
          ": expected rows at least ", 3 * width, " bytes apart, got ", row_stride);
  Image image{{1, height, width}, {}};
  image.view = interleaved_images(rgb, image.shape);
  image.view.row_stride = row_stride;
  return image;
}

void check_room(const char* function, const char* unit, std::size_t expected, std::size_t got) {
  require(got == expected, function, ": expected room for ", expected, " ", unit, ", got ", got);
}

bool has_maps_of(Element element, const Plan& plan) {
  for (int64_t map = 1; map <= plan.steps(); ++map) {
    if (plan.map_type(map).element == element) return true;
  }
  return false;
}

seaformer_model* open_model(std::unique_ptr<ModelFile> file, const void* data, std::size_t bytes) {
  try {
    return new seaformer_model(std::move(file), data, bytes);
  } catch (const std::invalid_argument& error) {
    throw ModelError(error.what());
  }
}

}  // namespace

const char* seaformer_version(void) { return SEAFORMER_VERSION; }

const char* seaformer_error(void) { return error_message; }

const char* seaformer_isa(void) {
  const char* name = nullptr;
  guarded([&] { name = isa_name(active_isa()); });
  return name;
}

seaformer_status seaformer_force_isa(const char* name) {
  return guarded(
      [&] { force_isa(name == nullptr ? std::nullopt : std::optional<Isa>(parse_isa(name))); });
}

seaformer_status seaformer_open(const char* path, seaformer_model** model) {
  return guarded([&] {
    require_pointers("seaformer_open", path, model);
    *model = nullptr;
    auto file = std::make_unique<ModelFile>(path);
    const void* const data = file->data();
    const std::size_t bytes = file->size();
    *model = open_model(std::move(file), data, bytes);
  });
}

seaformer_status seaformer_open_memory(const void* data, size_t bytes, seaformer_model** model) {
  return guarded([&] {
    require_pointers("seaformer_open_memory", data, model);
    *model = nullptr;
    *model = open_model(nullptr, data, bytes);
  });
}

void seaformer_close(seaformer_model* model) { delete model; }

seaformer_status seaformer_info(const seaformer_model* model, seaformer_model_info* info) {
  return guarded([&] {
    require_pointers("seaformer_info", model, info);
    const PlanHeader& header = model->network.plan().header();
    info->task = static_cast<seaformer_task>(header.task);
    info->classes = static_cast<int32_t>(header.classes);
    info->label_bytes = header.classes <= 256 ? 1 : 4;
    info->reads_rgb = static_cast<int32_t>(header.normalizes);
    info->threads = static_cast<int32_t>(model->parallel()->threads());
    info->bytes = header.bytes;
    info->float16 = has_maps_of(Element::kF16, model->network.plan());
    info->computes_float16 = calculates_in(Element::kF16);
    info->bfloat16 = has_maps_of(Element::kBF16, model->network.plan());
    info->computes_bfloat16 = calculates_in(Element::kBF16);
    info->int8 = has_maps_of(Element::kI8, model->network.plan());
    info->computes_int8 = calculates_in(Element::kI8);
    const Plan& plan = model->network.plan();
    info->outputs = static_cast<int32_t>(plan.outputs());
    const bool detects = plan.task() == Task::kDetection;
    info->max_detections = detects ? static_cast<int32_t>(plan.detection().most) : 0;
  });
}

seaformer_status seaformer_set_threads(seaformer_model* model, int32_t threads) {
  return guarded([&] {
    require_pointers("seaformer_set_threads", model);
    require(threads >= 1 && threads <= kMaxThreads, "seaformer_set_threads: expected 1 to ",
            kMaxThreads, " threads, got ", threads);
    std::shared_ptr<const Parallel> pool = std::make_shared<ThreadPool>(threads);
    const std::lock_guard<std::mutex> lock(model->mutex);
    model->threads.swap(pool);
  });
}

seaformer_status seaformer_logits_size(const seaformer_model* model, int64_t height, int64_t width,
                                       int64_t* logits_height, int64_t* logits_width) {
  return guarded([&] {
    require_pointers("seaformer_logits_size", model, logits_height, logits_width);
    const MapSize size = model->network.logits_size({1, height, width});
    *logits_height = size.height;
    *logits_width = size.width;
  });
}

seaformer_status seaformer_logits(const seaformer_model* model, const uint8_t* rgb, int64_t height,
                                  int64_t width, int64_t row_stride, float* logits, size_t count) {
  return guarded([&] {
    constexpr const char* kFunction = "seaformer_logits";
    require_pointers(kFunction, model, rgb, logits);
    const Image image = checked_image(kFunction, *model, rgb, height, width, row_stride);
    const int64_t expected = model->network.logits_size(image.shape).elements();
    check_room(kFunction, "logits", static_cast<std::size_t>(expected), count);
    model->network.logits(image.shape, image.view, Element::kF32, logits, *model->parallel());
  });
}

seaformer_status seaformer_labels(const seaformer_model* model, const uint8_t* rgb, int64_t height,
                                  int64_t width, int64_t row_stride, void* labels, size_t bytes,
                                  int64_t labels_height, int64_t labels_width) {
  return guarded([&] {
    constexpr const char* kFunction = "seaformer_labels";
    require_pointers(kFunction, model, rgb, labels);
    const Image image = checked_image(kFunction, *model, rgb, height, width, row_stride);
    require(labels_height >= 1 && labels_height <= kMaxImageSide && labels_width >= 1 &&
                labels_width <= kMaxImageSide,
            kFunction, ": expected labels with sides from 1 to ", kMaxImageSide, ", got ",
            labels_height, "x", labels_width);
    const bool narrow = model->network.plan().header().classes <= 256;
    const std::size_t label = narrow ? sizeof(uint8_t) : sizeof(int32_t);
    check_room(kFunction, "bytes of labels",
               label * static_cast<std::size_t>(labels_height * labels_width), bytes);
    require(reinterpret_cast<uintptr_t>(labels) % label == 0, kFunction,
            ": expected labels aligned to ", label, " bytes, got address ", labels);
    const std::shared_ptr<const Parallel> parallel = model->parallel();
    const Network& network = model->network;
    if (narrow) {
      network.labels(image.shape, image.view, labels_height, labels_width,
                     static_cast<uint8_t*>(labels), *parallel);
    } else {
      network.labels(image.shape, image.view, labels_height, labels_width,
                     static_cast<int32_t*>(labels), *parallel);
    }
  });
}

seaformer_status seaformer_detect(const seaformer_model* model, const uint8_t* rgb, int64_t height,
                                  int64_t width, int64_t row_stride,
                                  seaformer_detection* detections, size_t capacity, size_t* count) {
  return guarded([&] {
    constexpr const char* kFunction = "seaformer_detect";
    require_pointers(kFunction, model, rgb, detections, count);
    const Image image = checked_image(kFunction, *model, rgb, height, width, row_stride);
    DetectionShape how = model->network.detection_shape(image.shape);
    require(capacity >= 1, kFunction, ": expected room for a detection or more, got none");
    how.max_detections = std::min(how.max_detections,
                                  static_cast<int64_t>(std::min<size_t>(capacity, kMaxDetections)));
    std::vector<float> boxes(4 * how.max_detections), scores(how.max_detections);
    std::vector<int64_t> labels(how.max_detections);
    int64_t found = 0;
    model->network.detections(image.shape, image.view, how,
                              {boxes.data(), scores.data(), labels.data(), &found},
                              *model->parallel());
    for (int64_t i = 0; i < found; ++i) {
      const float* const box = &boxes[4 * i];
      detections[i] = {box[0], box[1], box[2], box[3], scores[i], static_cast<int32_t>(labels[i])};
    }
    *count = static_cast<size_t>(found);
  });
}

seaformer_status seaformer_map_size(const seaformer_model* model, int32_t output, int64_t height,
                                    int64_t width, int64_t* map_channels, int64_t* map_height,
                                    int64_t* map_width) {
  return guarded([&] {
    constexpr const char* kFunction = "seaformer_map_size";
    require_pointers(kFunction, model, map_channels, map_height, map_width);
    const std::vector<MapSize> sizes = model->network.output_sizes({1, height, width});
    require(output >= 0 && output < static_cast<int64_t>(sizes.size()), kFunction,
            ": expected a map from 0 to ", sizes.size() - 1, ", got ", output);
    const MapSize& size = sizes[output];
    *map_channels = size.channels, *map_height = size.height, *map_width = size.width;
  });
}

seaformer_status seaformer_maps(const seaformer_model* model, const uint8_t* rgb, int64_t height,
                                int64_t width, int64_t row_stride, float* const* maps,
                                const size_t* counts) {
  return guarded([&] {
    constexpr const char* kFunction = "seaformer_maps";
    require_pointers(kFunction, model, rgb, maps, counts);
    const Image image = checked_image(kFunction, *model, rgb, height, width, row_stride);
    std::vector<OutputMap> outputs;
    for (const MapSize& size : model->network.output_sizes(image.shape)) {
      const std::size_t k = outputs.size();
      require_pointers(kFunction, maps[k]);
      check_room(kFunction, "numbers of a map", static_cast<std::size_t>(size.elements()),
                 counts[k]);
      outputs.push_back({maps[k], Element::kF32});
    }
    model->network.maps(image.shape, image.view, outputs, *model->parallel());
  });
}

size_t seaformer_release_memory(void) {
  std::size_t bytes = 0;
  guarded([&] { bytes = release_arenas(); });
  return bytes;
}
