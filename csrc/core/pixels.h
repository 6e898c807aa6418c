// Pixels, or positions along an axis, as kernels take them: the channels of each lie side by side,
// `stride` counts bytes from one to the next. Free of std:: code, so ISA files may include it.
#pragma once

#include <stdint.h>

#include "core/element.h"

namespace seaformer {

struct InPixels {
  const void* data = nullptr;  // null for none, where a contract allows it
  int64_t stride = 0;

  InPixels() = default;
  // Pixels that are `elements` elements apart.
  template <class T>
  __attribute__((always_inline)) InPixels(const T* first, int64_t elements)
      : data(first), stride(elements * static_cast<int64_t>(sizeof(T))) {}
  __attribute__((always_inline)) InPixels(const void* first, int64_t elements, Element element)
      : data(first), stride(elements * bytes_of(element)) {}
};

struct OutPixels {
  void* data = nullptr;
  int64_t stride = 0;

  OutPixels() = default;
  template <class T>
  __attribute__((always_inline)) OutPixels(T* first, int64_t elements)
      : data(first), stride(elements * static_cast<int64_t>(sizeof(T))) {}
  __attribute__((always_inline)) OutPixels(void* first, int64_t elements, Element element)
      : data(first), stride(elements * bytes_of(element)) {}
};

// What lies so many bytes behind an address.
__attribute__((always_inline)) inline const void* after(const void* address, int64_t bytes) {
  return static_cast<const unsigned char*>(address) + bytes;
}
__attribute__((always_inline)) inline void* after(void* address, int64_t bytes) {
  return static_cast<unsigned char*>(address) + bytes;
}

// What lies so many elements of a type behind an address.
__attribute__((always_inline)) inline const void* after(const void* address, int64_t elements,
                                                        Element element) {
  return after(address, elements * bytes_of(element));
}
__attribute__((always_inline)) inline void* after(void* address, int64_t elements,
                                                  Element element) {
  return after(address, elements * bytes_of(element));
}

// The same in a kernel that knows the type: stride counts elements.
template <class T>
struct View {
  T* data;
  int64_t stride;
};
template <class T>
__attribute__((always_inline)) inline View<const T> view(const InPixels& pixels) {
  return {static_cast<const T*>(pixels.data), pixels.stride / static_cast<int64_t>(sizeof(T))};
}
template <class T>
__attribute__((always_inline)) inline View<T> view(const OutPixels& pixels) {
  return {static_cast<T*>(pixels.data), pixels.stride / static_cast<int64_t>(sizeof(T))};
}

}  // namespace seaformer
