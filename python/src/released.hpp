// SPDX-License-Identifier: Apache-2.0
// Work without Python's lock that Ctrl-C can end.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>

#include "moeshift/core/interrupted.hpp"
#include "moeshift/core/progress.hpp"

namespace moeshift::python {

/// Silent; interrupted once stop() was called.
class StoppableProgress final : public Progress {
 public:
  void stop() { stopped_.store(true); }
  void update(std::string_view, std::uint64_t, std::uint64_t) override {
    if (interrupted()) throw InterruptedError();
  }
  [[nodiscard]] bool interrupted() const override { return stopped_.load(); }

 private:
  std::atomic<bool> stopped_ = false;
};

/// Runs `work` with Python's lock given up.
///
/// Python tells signals to its main thread only, so a call from there works on a thread of its own
/// while the main thread watches; from other threads it works where it is. After a signal whose
/// handler raises (Ctrl-C), `progress` is stopped, what `work` returns or throws is dropped, and
/// the handler's exception is raised.
/// @throws what `work` throws.
void run_released(StoppableProgress& progress, const std::function<void()>& work);

}  // namespace moeshift::python
