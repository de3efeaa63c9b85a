// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "moeshift/execute/transport.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

namespace moeshift {

/// Work on one stream up to a point: finished once everything on the stream so far is.
class StreamPending final : public Pending {
 public:
  StreamPending(const DeviceRuntime& runtime, DeviceStream stream)
      : runtime_(runtime), end_(make_event(runtime)) {
    runtime.record(end_.get(), stream);
  }
  [[nodiscard]] bool poll() override { return runtime_.passed(end_.get()); }

 private:
  const DeviceRuntime& runtime_;
  Event end_;
};

}  // namespace moeshift
