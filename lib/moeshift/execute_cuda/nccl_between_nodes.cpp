// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "moeshift/execute_cuda/between_nodes.hpp"
#include "moeshift/execute_cuda/nccl_communicator.hpp"
#include "moeshift/execute_cuda/nccl_environment.hpp"
#include "moeshift/execute_cuda/nccl_log.hpp"
#include "moeshift/execute_cuda/nccl_transport.hpp"

namespace moeshift {
namespace {

class NcclBetweenNodes final : public BetweenNodes {
 public:
  explicit NcclBetweenNodes(const CudaSettings& settings)
      : settings_(settings), log_(std::make_unique<NcclLog>()) {}

  [[nodiscard]] std::unique_ptr<Transport> open(ControlPlane& control, Deadline deadline) override {
    auto communicator =
        join_communicator(control, {.name = "moeshift", .max_ctas = settings_.max_ctas}, deadline);
    const TransportTraits traits =
        nccl_traits(common_messages_per_group(control, log_->text(), deadline));
    return std::make_unique<NcclTransport>(std::move(communicator), nullptr, traits);
  }

  [[nodiscard]] Facts facts() const override {
    Facts result = {{"nccl_header", nccl_header_version()},
                    {"nccl_library", nccl_library_version()}};
    for (const auto& fact : facts_of_nccl_log(log_->text())) result.push_back(fact);
    for (const auto& variable : nccl_environment()) result.push_back(variable);
    return result;
  }

 private:
  CudaSettings settings_;
  std::unique_ptr<NcclLog> log_;
};

}  // namespace

std::unique_ptr<BetweenNodes> prepare_between_nodes(const CudaSettings& settings,
                                                    std::optional<std::string> host) {
  auto between = std::make_unique<NcclBetweenNodes>(settings);
  if (host) set_environment(loopback_environment(*host, false));
  return between;
}

}  // namespace moeshift
