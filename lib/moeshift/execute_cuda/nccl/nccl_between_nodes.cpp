// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/nccl/between_nodes.hpp"
#include "moeshift/execute_cuda/nccl/nccl_communicator.hpp"
#include "moeshift/execute_cuda/nccl/nccl_environment.hpp"
#include "moeshift/execute_cuda/nccl/nccl_log.hpp"
#include "moeshift/execute_cuda/nccl/nccl_transport.hpp"

namespace moeshift {
namespace {

class NcclBetweenNodes final : public BetweenNodes {
 public:
  NcclBetweenNodes(const Platform& platform, const AcceleratorSettings& settings)
      : platform_(platform), settings_(settings), log_(std::make_unique<NcclLog>()) {}

  [[nodiscard]] std::unique_ptr<Transport> open(ControlPlane& control, Deadline deadline) override {
    auto communicator =
        join_communicator(control, *platform_.collectives,
                          {.name = "moeshift", .max_ctas = settings_.max_ctas}, deadline);
    const TransportTraits traits =
        nccl_traits(common_messages_per_group(control, log_->text(), deadline));
    return std::make_unique<NcclTransport>(*platform_.runtime, std::move(communicator), nullptr,
                                           traits);
  }

  [[nodiscard]] Facts facts() const override {
    Facts result = {{"nccl_library", platform_.collectives->version_text()}};
    for (const auto& fact : facts_of_nccl_log(log_->text())) result.push_back(fact);
    for (const auto& variable : nccl_environment()) result.push_back(variable);
    return result;
  }

 private:
  Platform platform_;
  AcceleratorSettings settings_;
  std::unique_ptr<NcclLog> log_;
};

}  // namespace

std::unique_ptr<BetweenNodes> prepare_between_nodes(const Platform& platform,
                                                    const AcceleratorSettings& settings,
                                                    std::optional<std::string> host) {
  if (platform.collectives == nullptr) {
    throw InputError("backend", "auto between nodes needs NCCL");
  }
  (void)platform.collectives->calls();
  auto between = std::make_unique<NcclBetweenNodes>(platform, settings);
  if (host) set_environment(loopback_environment(*host, false));
  return between;
}

}  // namespace moeshift
