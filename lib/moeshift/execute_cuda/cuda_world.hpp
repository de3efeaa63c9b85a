// SPDX-License-Identifier: Apache-2.0
// What the worlds of the CUDA transports share: who lives here, on which device, with which
// settings.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/world/thread_hub.hpp"
#include "moeshift/execute_cuda/cuda_memory.hpp"
#include "moeshift/execute_cuda/devices.hpp"

namespace moeshift {

/// The settings of WorldRequest that the CUDA transports know, checked.
struct CudaSettings {
  bool threads = false;                 ///< "threads": ranks are threads of this process
  bool processes = false;               ///< "processes": ranks are processes of their own
  std::size_t ranks_per_gpu = 1;        ///< "ranks-per-gpu"; default: as few as the devices allow
  std::optional<std::size_t> max_ctas;  ///< "max-ctas"
  std::optional<std::size_t> commit_ctas;  ///< "commit-ctas"
  bool register_blocks = true;  ///< "register"; default: where every rank has a GPU of its own
  bool mps = false;             ///< "mps"
  std::size_t nodes = 1;        ///< "nodes" that the ranks sit in, in order
  std::optional<Bytes> engines_from;  ///< "engines-from": bytes of a message
};

/// @throws InputError for a setting not among `known`, a malformed value, or more ranks than
///         devices times ranks per GPU.
[[nodiscard]] CudaSettings read_cuda_settings(const WorldRequest& options,
                                              const std::vector<std::string>& known);

/// The private MPS daemon that "mps" asks for, and what makes ranks use it.
/// @throws DeviceError when there is none on this machine or it does not start.
[[nodiscard]] Escort escort_of(const CudaSettings& settings);
/// Whether this rank runs under a daemon, for the result file; empty when it does not.
[[nodiscard]] Facts mps_facts();

class CudaWorld : public World {
 public:
  CudaWorld(const WorldRequest& options, const CudaSettings& settings);

  [[nodiscard]] std::size_t size() const override { return size_; }
  [[nodiscard]] std::span<const RankId> local_ranks() const override { return local_; }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override;

 protected:
  [[nodiscard]] virtual CudaMemoryOptions memory_options() const;
  /// Called by every rank on its own thread, its device bound.
  [[nodiscard]] virtual std::unique_ptr<Transport> open_transport(ControlPlane& control,
                                                                  CudaMemory& memory,
                                                                  Deadline deadline) = 0;
  /// Called by every rank together; @throws InputError for a kind that this transport lacks.
  [[nodiscard]] virtual std::unique_ptr<Foreground> open_foreground(ForegroundKind kind,
                                                                    Seconds step,
                                                                    ControlPlane& control);
  [[nodiscard]] const CudaSettings& settings() const { return settings_; }

 private:
  [[nodiscard]] DeviceId device_of(RankId rank) const;
  [[nodiscard]] std::unique_ptr<ControlPlane> control_of(RankId rank, Deadline deadline);

  WorldRequest options_;
  CudaSettings settings_;
  std::size_t size_;
  std::vector<RankId> local_;
  std::shared_ptr<ThreadHub> hub_;  ///< when all ranks live here
};

}  // namespace moeshift
