// SPDX-License-Identifier: Apache-2.0
// A steady load on one GPU, on a stream of its own, timed by events.
#pragma once

#include <functional>
#include <memory>

#include "moeshift/execute/foreground.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

namespace moeshift {

/// Runs what `enqueue` puts on the stream as one step.
class CudaForeground final : public Foreground {
 public:
  using Enqueue = std::function<void(DeviceStream)>;

  explicit CudaForeground(Enqueue enqueue);

  [[nodiscard]] std::unique_ptr<Pending> start_step() override;
  [[nodiscard]] ModelStream stream() const override { return stream_.get(); }
  [[nodiscard]] Seconds last_step() const override;

 private:
  Stream stream_;
  Event begin_;
  Event end_;
  Enqueue enqueue_;
};

/// Tensor-core products on every multiprocessor, a step takes about `step`.
[[nodiscard]] std::unique_ptr<Foreground> make_compute_foreground(Seconds step);
/// Memory traffic over a block that no cache holds, likewise.
[[nodiscard]] std::unique_ptr<Foreground> make_memory_foreground(Seconds step);

}  // namespace moeshift
