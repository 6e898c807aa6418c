// Threads of one model, asleep while there is nothing to do.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "core/parallel.h"

namespace seaformer {

// Serves any number of callers at once; each works on its own tasks, too, so that all finish.
class ThreadPool final : public Parallel {
 public:
  // Starts threads - 1 of them. Throws std::system_error.
  explicit ThreadPool(int64_t threads);
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int64_t threads() const override { return threads_; }
  void run(int64_t tasks, TaskRef task) const override;

 private:
  struct Job {
    TaskRef task;
    int64_t tasks, next, running;
  };

  void work();
  void stop();
  // Runs the next task of a job, with the mutex free meanwhile.
  static void step(Job& job, std::unique_lock<std::mutex>& lock);

  const int64_t threads_;
  mutable std::mutex mutex_;
  mutable std::condition_variable wake_, done_;
  mutable std::list<Job*> jobs_;  // that have tasks nobody has begun
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace seaformer
