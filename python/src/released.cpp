// SPDX-License-Identifier: Apache-2.0
#include "released.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include <pybind11/pybind11.h>

namespace moeshift::python {
namespace {

namespace py = pybind11;

/// How long Ctrl-C waits at most until it is seen.
constexpr std::chrono::milliseconds kWatch{20};

/// Asked anew each time: after a fork another thread is the main one.
bool on_main_thread() {
  const py::object threading = py::module_::import("threading");
  return threading.attr("get_ident")().equal(threading.attr("main_thread")().attr("ident"));
}

/// A thread that works, and what came of it.
class Worker {
 public:
  explicit Worker(const std::function<void()>& work) : thread_([this, &work] { run(work); }) {}

  /// @return whether it is done.
  bool wait() {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, kWatch, [this] { return done_; });
  }
  /// Once it is done. @throws what the work threw.
  void finish() {
    thread_.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void run(const std::function<void()>& work) {
    try {
      work();
    } catch (...) {
      error_ = std::current_exception();
    }
    const std::scoped_lock lock(mutex_);
    done_ = true;
    ended_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  std::exception_ptr error_;
  std::jthread thread_;  // last: begins when the others are there
};

}  // namespace

bool StoppableProgress::interrupted() const {
  if (stopped_.load()) return true;
  if (std::this_thread::get_id() != watcher_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ < kWatch) return false;
  looked_ = now;
  const py::gil_scoped_acquire acquired;
  if (PyErr_CheckSignals() == 0) return false;
  raised_ = true;
  stopped_.store(true);
  return true;
}

void run_here(StoppableProgress& progress, const std::function<void()>& work) {
  if (!on_main_thread()) {
    const py::gil_scoped_release released;
    work();
    return;
  }
  std::exception_ptr failed;
  {
    progress.watch_here();
    const py::gil_scoped_release released;
    try {
      work();
    } catch (...) {
      failed = std::current_exception();
    }
  }
  if (progress.raised()) throw py::error_already_set();
  if (failed) std::rethrow_exception(failed);
}

void run_released(StoppableProgress& progress, const std::function<void()>& work) {
  if (!on_main_thread()) {
    const py::gil_scoped_release released;
    work();
    return;
  }
  std::optional<py::error_already_set> raised;
  std::exception_ptr failed;
  {
    const py::gil_scoped_release released;
    Worker worker(work);
    while (!worker.wait()) {
      if (raised) continue;
      const py::gil_scoped_acquire acquired;
      if (PyErr_CheckSignals() == 0) continue;
      raised.emplace();
      progress.stop();
    }
    try {
      worker.finish();
    } catch (...) {
      failed = std::current_exception();
    }
  }
  if (raised) throw std::move(*raised);
  if (failed) std::rethrow_exception(failed);
}

}  // namespace moeshift::python
