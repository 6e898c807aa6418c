// Real threads for tests of blocks.
#pragma once

#include <thread>
#include <vector>

#include "core/parallel.h"

namespace seaformer::test {

// Says there are `count` threads, and runs every task on one of its own.
class Threads final : public Parallel {
 public:
  explicit Threads(int64_t count) : count_(count) {}
  int64_t threads() const override { return count_; }
  void run(int64_t tasks, TaskRef task) const override {
    std::vector<std::thread> pool;
    for (int64_t i = 0; i < tasks; ++i) pool.emplace_back([&task, i] { task(i); });
    for (std::thread& thread : pool) thread.join();
  }

 private:
  int64_t count_;
};

}  // namespace seaformer::test
