/* SeaFormer networks without torch or Python: model files in, labels or boxes out. C99 and later.
 *
 * A function that can fail returns a seaformer_status; seaformer_error() then tells, in one
 * sentence, what was expected and what came. No exception leaves the library. Any number of threads
 * may use one model at once, but for seaformer_close, which ends it. */
#ifndef SEAFORMER_H
#define SEAFORMER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SEAFORMER_API __attribute__((visibility("default")))
#else
#define SEAFORMER_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct seaformer_model seaformer_model;

typedef enum {
  SEAFORMER_OK = 0,
  SEAFORMER_BAD_ARGUMENT = 1, /* a null pointer, or a size that does not fit */
  SEAFORMER_BAD_MODEL = 2,    /* a file that is damaged or no model */
  SEAFORMER_NO_FILE = 3,      /* a file that cannot be read; the message has the system's reason */
  SEAFORMER_NO_MEMORY = 4,
  SEAFORMER_NO_THREADS = 5 /* the system starts no more threads */
} seaformer_status;

typedef enum {
  SEAFORMER_SEGMENTATION = 1,
  SEAFORMER_CLASSIFICATION = 2,
  SEAFORMER_MAP = 3, /* any other: what comes out are maps */
  SEAFORMER_DETECTION = 4
} seaformer_task;

typedef struct {
  seaformer_task task;
  int32_t classes;
  int32_t label_bytes; /* of a label: 1 for up to 256 classes (uint8_t), else 4 (int32_t) */
  int32_t reads_rgb;   /* 1: the model normalises images by itself, as the functions below need */
  int32_t threads;
  uint64_t bytes;           /* of the model */
  int32_t float16;          /* 1: weights and maps, or some of them, are float16 */
  int32_t computes_float16; /* 1: kernels here calculate with it; 0: in float32, and convert */
  int32_t bfloat16;         /* the same of bfloat16 */
  int32_t computes_bfloat16;
  int32_t int8;           /* the same of int8, in which all processors calculate, */
  int32_t computes_int8;  /* 1: by dot products, which make it fast */
  int32_t outputs;        /* maps that come out, for seaformer_maps */
  int32_t max_detections; /* of a detector: as many as seaformer_detect finds at most; else 0 */
} seaformer_model_info;

/* An object in an image. */
typedef struct {
  float x1, y1, x2, y2; /* left, top, right and bottom, in pixels of the image, from 0 */
  float score;          /* from 0 to 1 */
  int32_t label;        /* its class, from 0 */
} seaformer_detection;

/* The version of the library, such as "0.1.0". */
SEAFORMER_API const char* seaformer_version(void);

/* The message of the last call in this thread that failed; "" before the first. Valid until the
 * next call that fails. */
SEAFORMER_API const char* seaformer_error(void);

/* The instruction set that kernels use, such as "avx2"; null if SEAFORMER_FORCE_ISA names one that
 * is not there. */
SEAFORMER_API const char* seaformer_isa(void);

/* Makes the kernels of the whole process use another instruction set; null for the widest. */
SEAFORMER_API seaformer_status seaformer_force_isa(const char* name);

/* Opens a file that seaformer_kernels.export_native wrote, and checks all of it. The file is
 * mapped, not copied, and must not be changed while the model is open. */
SEAFORMER_API seaformer_status seaformer_open(const char* path, seaformer_model** model);

/* The same of bytes in memory, aligned to 8 bytes (64 are best), which are used where they lie and
 * must outlive the model. */
SEAFORMER_API seaformer_status seaformer_open_memory(const void* data, size_t bytes,
                                                     seaformer_model** model);

/* Ends a model; null is allowed. */
SEAFORMER_API void seaformer_close(seaformer_model* model);

SEAFORMER_API seaformer_status seaformer_info(const seaformer_model* model,
                                              seaformer_model_info* info);

/* Lets each call use that many threads, from 1 (the default) to 256. Results do not depend on it.
 * Calls that are running keep those they have. */
SEAFORMER_API seaformer_status seaformer_set_threads(seaformer_model* model, int32_t threads);

/* Height and width of the logits for an image of height x width pixels; 1 and 1 of a classifier. Of
 * models of which one map comes out, as the next. */
SEAFORMER_API seaformer_status seaformer_logits_size(const seaformer_model* model, int64_t height,
                                                     int64_t width, int64_t* logits_height,
                                                     int64_t* logits_width);

/* Logits of an image: [logits_height][logits_width][classes] float32, `count` of them.
 *
 * rgb: the image's pixels, three bytes each, from the top left; rows begin row_stride bytes apart,
 * at least 3 * width. Any height and width from 1; models are made for 32 and more. */
SEAFORMER_API seaformer_status seaformer_logits(const seaformer_model* model, const uint8_t* rgb,
                                                int64_t height, int64_t width, int64_t row_stride,
                                                float* logits, size_t count);

/* The label of every pixel of an image, of a segmentation model: logits resized bilinearly to
 * labels_height x labels_width, then the best class. labels: dense rows of info.label_bytes each,
 * in all label_bytes * labels_height * labels_width = `bytes` bytes, aligned to label_bytes. */
SEAFORMER_API seaformer_status seaformer_labels(const seaformer_model* model, const uint8_t* rgb,
                                                int64_t height, int64_t width, int64_t row_stride,
                                                void* labels, size_t bytes, int64_t labels_height,
                                                int64_t labels_width);

/* The objects in an image, of a detection model, the surest first; with the thresholds that the
 * model was exported with. The model sees the image as it is: who wants it to see all images at one
 * size resizes them and brings the boxes back.
 *
 * detections: room for `capacity` of them, which is all that are told; none are lost if it is
 * info.max_detections. count: how many there are. */
SEAFORMER_API seaformer_status seaformer_detect(const seaformer_model* model, const uint8_t* rgb,
                                                int64_t height, int64_t width, int64_t row_stride,
                                                seaformer_detection* detections, size_t capacity,
                                                size_t* count);

/* Channels, height and width of map `output`, from 0 to info.outputs - 1, for an image of height x
 * width pixels. */
SEAFORMER_API seaformer_status seaformer_map_size(const seaformer_model* model, int32_t output,
                                                  int64_t height, int64_t width,
                                                  int64_t* map_channels, int64_t* map_height,
                                                  int64_t* map_width);

/* All maps that come out for an image, of any model. maps: info.outputs of them, each
 * [map_height][map_width][map_channels] float32; counts: of each, how many numbers there is room
 * for. */
SEAFORMER_API seaformer_status seaformer_maps(const seaformer_model* model, const uint8_t* rgb,
                                              int64_t height, int64_t width, int64_t row_stride,
                                              float* const* maps, const size_t* counts);

/* Gives memory that is kept for the next call back to the system; returns how many bytes. As many
 * blocks are kept as calls ever ran at once. */
SEAFORMER_API size_t seaformer_release_memory(void);

#ifdef __cplusplus
}
#endif

#endif
