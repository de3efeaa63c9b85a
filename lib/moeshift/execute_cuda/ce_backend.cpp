// SPDX-License-Identifier: Apache-2.0
// The ce row of the transport table.
#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/ce_transport.hpp"
#include "moeshift/execute_cuda/collective_load.hpp"
#include "moeshift/execute_cuda/cuda_world.hpp"

namespace moeshift {
namespace {

/// A vote and a batch of copies cost some 50 us, as long as a hundred megabytes take.
constexpr Bytes kJoinBelow(std::int64_t{16} << 20U);

/// The load's ranks meet within this.
constexpr Seconds kCollectiveDeadline{30.0};

CudaSettings settings_of(const WorldRequest& options) {
  return read_cuda_settings(options, {"threads", "processes", "ranks-per-gpu", "mps"});
}

class CeWorld final : public CudaWorld {
 public:
  using CudaWorld::CudaWorld;

  [[nodiscard]] Facts facts() const override {
    Facts result = cuda_facts();
    for (const auto& fact : mps_facts()) result.push_back(fact);
    return result;
  }

 private:
  std::unique_ptr<Foreground> open_foreground(ForegroundKind kind, Seconds step,
                                              ControlPlane& control) override {
    if (kind != ForegroundKind::kCollective) return CudaWorld::open_foreground(kind, step, control);
    if (settings().ranks_per_gpu > 1) {
      throw InputError("foreground", "a collective load beside ce needs a GPU for every rank");
    }
    return make_collective_foreground(control, Deadline::in(kCollectiveDeadline));
  }

  std::unique_ptr<Transport> open_transport(ControlPlane& control, CudaMemory& memory,
                                            Deadline deadline) override {
    return std::make_unique<CeTransport>(control, memory, memory_options(), deadline);
  }
};

/// Threads unless asked for processes: one process needs no CUDA IPC and no time slicing.
Launch launch_ce(const WorldRequest& options) {
  const CudaSettings settings = settings_of(options);
  return settings.processes && !options.place ? Launch::kSpawn : Launch::kHere;
}

std::unique_ptr<World> open_ce(const WorldRequest& options) {
  return std::make_unique<CeWorld>(options, settings_of(options));
}

Escort escort_ce(const WorldRequest& options) {
  return escort_of(settings_of(options));
}

}  // namespace

Backend ce_backend() {
  return {.name = "ce",
          .summary = "copies over CUDA peer access and IPC; no kernel runs while experts travel",
          .unavailable_reason = &cuda_unavailable_reason,
          .launch = &launch_ce,
          .open = &open_ce,
          .found = &found_cuda,
          .join_below = kJoinBelow,
          .escort = &escort_ce};
}

}  // namespace moeshift
