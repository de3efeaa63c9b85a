// SPDX-License-Identifier: Apache-2.0
// What the worlds of all device transports share: who lives here, on which device, with which
// settings.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/world/thread_hub.hpp"
#include "moeshift/execute_cuda/memory/accelerator_memory.hpp"

namespace moeshift {

/// The settings of WorldRequest that the device transports know, checked.
struct AcceleratorSettings {
  bool threads = false;                 ///< "threads": ranks are threads of this process
  bool processes = false;               ///< "processes": ranks are processes of their own
  std::size_t ranks_per_gpu = 1;        ///< "ranks-per-gpu"; default: as few as the devices allow
  std::optional<std::size_t> max_ctas;  ///< "max-ctas"
  std::optional<std::size_t> commit_ctas;  ///< "commit-ctas"
  bool register_blocks = true;  ///< "register"; default: where every rank has a GPU of its own
  bool mps = false;             ///< "mps"
  bool one_round = false;       ///< "one-round": HCCL connects by one HcclAlltoAllVC
  std::size_t nodes = 1;        ///< "nodes" that the ranks sit in, in order
  std::optional<Bytes> engines_from;  ///< "engines-from": bytes of a message
};

/// @throws InputError for a setting not among `known`, a malformed value, or more ranks than
///         devices times ranks per GPU.
[[nodiscard]] AcceleratorSettings read_accelerator_settings(const Platform& platform,
                                                            const WorldRequest& options,
                                                            const std::vector<std::string>& known);

/// The private MPS daemon that "mps" asks for, and what makes ranks use it.
/// @throws DeviceError when there is none on this machine or it does not start.
[[nodiscard]] Escort escort_of(const AcceleratorSettings& settings);
/// "CUDA 13.0, driver 13.0, 2 x NVIDIA H100 80GB HBM3"; call it where there is a device.
[[nodiscard]] std::string found_devices(const DeviceRuntime& runtime);
/// Whether this rank runs under a daemon, for the result file; empty when it does not.
[[nodiscard]] Facts mps_facts();

class AcceleratorWorld : public World {
 public:
  AcceleratorWorld(const Platform& platform, const WorldRequest& options,
                   const AcceleratorSettings& settings);

  [[nodiscard]] std::size_t size() const override { return size_; }
  [[nodiscard]] std::span<const RankId> local_ranks() const override { return local_; }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override;

 protected:
  [[nodiscard]] virtual AcceleratorMemoryOptions memory_options() const;
  /// Called by every rank on its own thread, its device bound.
  [[nodiscard]] virtual std::unique_ptr<Transport> open_transport(ControlPlane& control,
                                                                  AcceleratorMemory& memory,
                                                                  Deadline deadline) = 0;
  /// Called by every rank together; @throws InputError for a kind that this transport lacks.
  [[nodiscard]] virtual std::unique_ptr<Foreground> open_foreground(ForegroundKind kind,
                                                                    Seconds step,
                                                                    ControlPlane& control);
  [[nodiscard]] const AcceleratorSettings& settings() const { return settings_; }
  [[nodiscard]] const Platform& platform() const { return platform_; }

 private:
  [[nodiscard]] DeviceId device_of(RankId rank) const;
  [[nodiscard]] std::unique_ptr<ControlPlane> control_of(RankId rank, Deadline deadline);

  Platform platform_;
  WorldRequest options_;
  AcceleratorSettings settings_;
  std::size_t size_;
  std::vector<RankId> local_;
  std::shared_ptr<ThreadHub> hub_;  ///< when all ranks live here
};

}  // namespace moeshift
