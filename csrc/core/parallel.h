// The threads a block runs on, injected by whoever calls it: torch's pool, a test's, or none.
#pragma once

#include <cstdint>

namespace seaformer {

// A reference to a callable `void(int64_t task)`; the callable must outlive it and must not throw.
class TaskRef {
 public:
  template <class F>
  TaskRef(
      const F& f)  // NOLINT(google-explicit-constructor): a parameter type, made from any lambda
      : object_(&f),
        call_([](const void* object, int64_t task) { (*static_cast<const F*>(object))(task); }) {}
  void operator()(int64_t task) const { call_(object_, task); }

 private:
  const void* object_;
  void (*call_)(const void*, int64_t);
};

class Parallel {
 public:
  virtual ~Parallel() = default;
  // The number of tasks worth making for one call.
  virtual int64_t threads() const = 0;
  // Runs task(0) ... task(tasks - 1), in any order and possibly at once; returns when all are done.
  virtual void run(int64_t tasks, TaskRef task) const = 0;
};

class Sequential final : public Parallel {
 public:
  int64_t threads() const override { return 1; }
  void run(int64_t tasks, TaskRef task) const override {
    for (int64_t i = 0; i < tasks; ++i) task(i);
  }
};

}  // namespace seaformer
