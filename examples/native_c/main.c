/* Labels a grey gradient with a model file:  main MODEL */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "capi/seaformer.h"

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, seaformer_error());
  return 1;
}

int main(int count, char** arguments) {
  enum { kHeight = 96, kWidth = 128 };
  static uint8_t rgb[kHeight][kWidth][3];
  seaformer_model* model = NULL;
  seaformer_model_info info;

  if (count != 2) {
    fprintf(stderr, "usage: %s MODEL\n", arguments[0]);
    return 2;
  }
  if (seaformer_open(arguments[1], &model) != SEAFORMER_OK) return failed("seaformer_open");
  seaformer_info(model, &info);
  seaformer_set_threads(model, 2);

  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < 3; ++c) rgb[y][x][c] = (uint8_t)(x + y);
    }
  }
  const size_t bytes = (size_t)info.label_bytes * kHeight * kWidth;
  void* labels = malloc(bytes);
  if (labels == NULL) return 1;
  const seaformer_status status = seaformer_labels(model, &rgb[0][0][0], kHeight, kWidth,
                                                   3 * kWidth, labels, bytes, kHeight, kWidth);
  if (status == SEAFORMER_OK) {
    const int32_t first = info.label_bytes == 1 ? *(uint8_t*)labels : *(int32_t*)labels;
    printf("the top left pixel is of class %d of %d\n", (int)first, (int)info.classes);
  }
  free(labels);
  seaformer_close(model);
  return status == SEAFORMER_OK ? 0 : failed("seaformer_labels");
}
