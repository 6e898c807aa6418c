// Packed weights of a panel as those of float32. An ISA file includes its wrapper and defines
// SEAFORMER_ISA before.
#pragma once

#include "core/element.h"
#include "core/panel.h"

namespace seaformer {
namespace SEAFORMER_ISA {
namespace {

#include "simd/each_span.inc"

template <class T>
SEAFORMER_INLINE void widen_biases(const T* from, float* to) {
  SEAFORMER_UNROLL
  for (int64_t n = 0; n < kPanel; n += kLanes) store(to + n, load(from + n));
}

// Of input channels [begin, end), the first of which is the first of a group.
template <class T>
void widen_taps(const T* panel, int64_t, int64_t begin, int64_t end, float* to) {
  copy_elements(panel + (begin + 1) * kPanel, (end - begin) * kPanel, to);
}

// A template, since an ISA whose numbers are float16 cannot do that.
template <class V = Vector>
void widen_taps(const BFloat16* panel, int64_t channels, int64_t begin, int64_t end, float* to) {
  for (int64_t k = begin; k < end; k += kGroupedTaps, to += kGroupedTaps * kPanel) {
    const BFloat16* const from = panel + (k + 1) * kPanel;
    const int64_t taps = channels - k < kGroupedTaps ? channels - k : kGroupedTaps;
    if (taps < kGroupedTaps) {
      for (int64_t i = 0; i < taps * kPanel; ++i) {
        to[i % taps * kPanel + i / taps] = to_float(from[i]);
      }
      continue;
    }
    SEAFORMER_UNROLL
    for (int64_t n = 0; n < kPanel; n += kLanes) {
      V taps_of[kGroupedTaps];
      load_every_fourth(from + n * kGroupedTaps, taps_of);
      SEAFORMER_UNROLL
      for (int i = 0; i < kGroupedTaps; ++i) store(to + i * kPanel + n, taps_of[i]);
    }
  }
}

template <class T>
void widen_panel(const void* panel, int64_t channels, float* to) {
  const T* const from = static_cast<const T*>(panel);
  widen_biases(from, to);
  widen_taps(from, channels, 0, channels, to + kPanel);
}

}  // namespace
}  // namespace SEAFORMER_ISA
}  // namespace seaformer
