// Real threads for tests of blocks.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

#include "core/parallel.h"

namespace seaformer::test {

// Threads that are kept: under emulation each new one costs some 100 KB that never come back.
class KeptThreads {
 public:
  static KeptThreads& instance() {
    static KeptThreads threads;
    return threads;
  }
  ~KeptThreads() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ending_ = true;
    }
    given_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  // Each task has a thread of its own, also where several threads call.
  void run(int64_t tasks, TaskRef task) {
    int64_t left = tasks;
    std::unique_lock<std::mutex> lock(mutex_);
    for (int64_t i = 0; i < tasks; ++i) {
      queue_.push([&, i] {
        task(i);
        const std::lock_guard<std::mutex> finished(mutex_);
        if (--left == 0) done_.notify_all();
      });
    }
    for (; idle_ < queue_.size(); ++idle_) threads_.emplace_back([this] { serve(); });
    given_.notify_all();
    done_.wait(lock, [&] { return left == 0; });
  }

 private:
  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      given_.wait(lock, [&] { return ending_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const std::function<void()> work = std::move(queue_.front());
      queue_.pop();
      --idle_;
      lock.unlock();
      work();
      lock.lock();
      ++idle_;
    }
  }

  std::mutex mutex_;
  std::condition_variable given_, done_;
  std::queue<std::function<void()>> queue_;
  std::size_t idle_ = 0;  // threads that will take from the queue next
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

// Says there are `count` threads, and runs every task on one of its own.
class Threads final : public Parallel {
 public:
  explicit Threads(int64_t count) : count_(count) {}
  int64_t threads() const override { return count_; }
  void run(int64_t tasks, TaskRef task) const override { KeptThreads::instance().run(tasks, task); }

 private:
  int64_t count_;
};

}  // namespace seaformer::test
