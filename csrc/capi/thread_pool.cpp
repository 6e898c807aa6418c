#include "capi/thread_pool.h"

namespace seaformer {

ThreadPool::ThreadPool(int64_t threads) : threads_(threads) {
  try {
    for (int64_t i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::step(Job& job, std::unique_lock<std::mutex>& lock) {
  const int64_t task = job.next++;
  ++job.running;
  lock.unlock();
  job.task(task);
  lock.lock();
  --job.running;
}

void ThreadPool::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job& job = *jobs_.front();
    if (job.next + 1 == job.tasks) jobs_.pop_front();
    step(job, lock);
    // Behind this the caller may return, and the job be gone.
    if (job.next == job.tasks && job.running == 0) done_.notify_all();
  }
}

void ThreadPool::run(int64_t tasks, TaskRef task) const {
  if (workers_.empty() || tasks <= 1) return Sequential().run(tasks, task);
  Job job{task, tasks, 0, 0};
  std::unique_lock<std::mutex> lock(mutex_);
  jobs_.push_back(&job);
  wake_.notify_all();
  while (job.next < tasks) {
    if (job.next + 1 == tasks) jobs_.remove(&job);
    step(job, lock);
  }
  done_.wait(lock, [&] { return job.running == 0; });
}

}  // namespace seaformer
