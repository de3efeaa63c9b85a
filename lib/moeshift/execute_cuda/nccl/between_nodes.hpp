// SPDX-License-Identifier: Apache-2.0
// What carries messages between nodes for a transport that knows only one node.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/transport.hpp"
#include "moeshift/execute_cuda/world/accelerator_world.hpp"

namespace moeshift {

class BetweenNodes {
 public:
  BetweenNodes() = default;
  BetweenNodes(const BetweenNodes&) = delete;
  BetweenNodes& operator=(const BetweenNodes&) = delete;
  virtual ~BetweenNodes() = default;

  /// Collective over all ranks, also those that only talk within their node.
  [[nodiscard]] virtual std::unique_ptr<Transport> open(ControlPlane& control,
                                                        Deadline deadline) = 0;
  [[nodiscard]] virtual Facts facts() const = 0;
};

/// Before any rank joins.
/// @param host that this process passes for, where several nodes are made up on one machine: then
///        they talk through sockets, as real ones without a fast network would. Nothing: they are
///        real.
/// @throws InputError when the platform has no NCCL.
[[nodiscard]] std::unique_ptr<BetweenNodes> prepare_between_nodes(
    const Platform& platform, const AcceleratorSettings& settings, std::optional<std::string> host);

}  // namespace moeshift
