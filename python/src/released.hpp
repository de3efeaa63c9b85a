// SPDX-License-Identifier: Apache-2.0
// Work without Python's lock that Ctrl-C can end.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>
#include <thread>

#include "moeshift/core/interrupted.hpp"
#include "moeshift/core/progress.hpp"

namespace moeshift::python {

/// Silent; interrupted once stop() was called, or Python's main thread has found a signal.
class StoppableProgress final : public Progress {
 public:
  void stop() { stopped_.store(true); }
  /// From now on the calling thread, Python's main one, looks for signals when it asks whether it
  /// is interrupted.
  void watch_here() { watcher_ = std::this_thread::get_id(); }
  /// A signal's handler has raised: Python's error is set.
  [[nodiscard]] bool raised() const { return raised_; }
  void update(std::string_view, std::uint64_t, std::uint64_t) override {
    if (interrupted()) throw InterruptedError();
  }
  [[nodiscard]] bool interrupted() const override;

 private:
  mutable std::atomic<bool> stopped_ = false;
  std::thread::id watcher_;
  mutable std::chrono::steady_clock::time_point looked_;  ///< by the watcher alone
  mutable bool raised_ = false;                           ///< likewise
};

/// Runs `work` with Python's lock given up.
///
/// Python tells signals to its main thread only, so a call from there works on a thread of its own
/// while the main thread watches; from other threads it works where it is. After a signal whose
/// handler raises (Ctrl-C), `progress` is stopped, what `work` returns or throws is dropped, and
/// the handler's exception is raised.
/// @throws what `work` throws.
void run_released(StoppableProgress& progress, const std::function<void()>& work);

/// The same on the calling thread itself, for work that asks `progress` often, as planners do: no
/// thread has to be made and waited for, which costs more than a small plan.
void run_here(StoppableProgress& progress, const std::function<void()>& work);

}  // namespace moeshift::python
