// One aligned allocation per call, and the way blocks divide it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "core/element.h"

namespace seaformer {

constexpr std::size_t kWorkspaceAlignment = 64;

constexpr std::size_t align_up(std::size_t bytes) {
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}

// Uninitialised memory, aligned to a cache line. Throws std::bad_alloc.
class Workspace {
 public:
  explicit Workspace(std::size_t bytes)
      : memory_(::operator new(bytes, std::align_val_t{kWorkspaceAlignment})) {}
  void* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(void* p) const { ::operator delete(p, std::align_val_t{kWorkspaceAlignment}); }
  };
  std::unique_ptr<void, Free> memory_;
};

// Hands out aligned arrays from the front of a workspace. Started at null it only adds up sizes, so
// that one function lays a workspace out and also tells its size.
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<unsigned char*>(base)) {}
  template <class T>
  T* take(int64_t count) {
    T* array = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += align_up(static_cast<std::size_t>(count) * sizeof(T));
    return array;
  }
  // An array of elements of a type.
  void* take(int64_t count, Element element) {
    return take<unsigned char>(count * bytes_of(element));
  }
  std::size_t used() const { return used_; }

 private:
  unsigned char* base_;
  std::size_t used_ = 0;
};

// Scratch that each of several workers lays out in the same way, on cache lines of its own.
class WorkerScratch {
 public:
  WorkerScratch() = default;
  // Takes that of all of them; take(carver) takes that of one.
  template <class Take>
  WorkerScratch(int64_t workers, const Take& take, Carver& carver) {
    Carver size(nullptr);
    take(size);
    bytes_ = static_cast<int64_t>(size.used());
    data_ = carver.take<unsigned char>(workers * bytes_);
  }
  // For `take` to lay out what one worker has.
  Carver of(int64_t worker) const { return Carver(data_ + worker * bytes_); }

 private:
  unsigned char* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace seaformer
