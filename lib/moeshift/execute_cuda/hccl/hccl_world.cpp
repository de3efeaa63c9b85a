// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/hccl/hccl_world.hpp"

#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/world/accelerator_world.hpp"

namespace moeshift {
namespace {

AcceleratorSettings settings_of(const HcclPlatform& platform, const WorldRequest& options) {
  AcceleratorSettings settings = read_accelerator_settings(
      platform.device, options, {"threads", "processes", "ranks-per-gpu", "one-round"});
  if (settings.ranks_per_gpu > 1) {
    throw InputError("ranks-per-gpu", "HCCL has one rank per NPU; fewer ranks");
  }
  return settings;
}

class HcclWorld final : public AcceleratorWorld {
 public:
  HcclWorld(const HcclPlatform& platform, const WorldRequest& options,
            const AcceleratorSettings& settings)
      : AcceleratorWorld(platform.device, options, settings),
        library_(*platform.library),
        stuck_(platform.stuck) {}

  [[nodiscard]] Facts facts() const override {
    Facts facts = platform().runtime->versions();
    facts.emplace_back("hccl_connects",
                       settings().one_round ? "in one HcclAlltoAllVC" : "by pairs");
    return facts;
  }

 private:
  std::unique_ptr<Transport> open_transport(ControlPlane& control, AcceleratorMemory& memory,
                                            Deadline deadline) override {
    const HcclConnect connect = settings().one_round ? HcclConnect::kOneRound : HcclConnect::kPairs;
    return std::make_unique<HcclTransport>(*platform().runtime, library_, memory.device(), control,
                                           connect, stuck_, deadline);
  }

  const HcclLibrary& library_;
  StuckRank stuck_;
};

}  // namespace

std::string hccl_unavailable_reason(const HcclPlatform& platform) {
  std::string reason = platform.device.runtime->unavailable_reason();
  return reason.empty() ? platform.library->missing() : reason;
}

Launch launch_hccl(const HcclPlatform& platform, const WorldRequest& options) {
  const AcceleratorSettings settings = settings_of(platform, options);
  const bool here = options.place || settings.threads || options.ranks == 1;
  return here ? Launch::kHere : Launch::kSpawn;
}

std::unique_ptr<World> open_hccl(const HcclPlatform& platform, const WorldRequest& options) {
  (void)platform.library->calls();
  return std::make_unique<HcclWorld>(platform, options, settings_of(platform, options));
}

std::string found_hccl(const HcclPlatform& platform) {
  return found_devices(*platform.device.runtime) + ", HCCL";
}

}  // namespace moeshift
