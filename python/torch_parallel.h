// torch's thread pool as the blocks' threads.
#pragma once

#include <torch/csrc/stable/ops.h>

#include "core/parallel.h"

namespace seaformer {

// Follows torch.set_num_threads; inside another parallel region it runs the tasks in turn.
class TorchParallel final : public Parallel {
 public:
  // Asked once: a workspace is laid out for this number while others may change it.
  int64_t threads() const override { return threads_; }
  void run(int64_t tasks, TaskRef task) const override {
    torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) task(i);
    });
  }

 private:
  const int64_t threads_ = torch::stable::get_num_threads();
};

}  // namespace seaformer
