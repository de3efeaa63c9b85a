// SPDX-License-Identifier: Apache-2.0
// Every class of link by the transport that suits it, all at the same time: within a node straight
// between memories, large experts by copy engines and small ones by stores; between nodes NCCL.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "moeshift/execute/transport.hpp"

namespace moeshift {

/// Who can carry a message.
enum class Carrier : std::uint8_t { kCopyEngines, kStores, kNetwork };
constexpr std::size_t kCarriers = 3;
/// "ce", "peer", "nccl": as the transports are called that use them alone.
[[nodiscard]] std::string_view name_of(Carrier carrier);

/// What the ranks of this process have sent so far, by carrier.
struct Carried {
  std::array<std::atomic<std::int64_t>, kCarriers> bytes{};
};

class AutoTransport final : public Transport {
 public:
  struct Route {
    std::vector<std::uint32_t> nodes;  ///< [ranks] which node each rank sits in
    Bytes engines_from;                ///< messages within a node of at least this: copy engines
  };

  /// @param carriers by Carrier; kNetwork may be null when all ranks sit in one node
  AutoTransport(RankId self, Route route,
                std::array<std::unique_ptr<Transport>, kCarriers> carriers,
                std::shared_ptr<Carried> carried);

  [[nodiscard]] TransportTraits traits() const override;
  void connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
               Deadline deadline) override;
  [[nodiscard]] std::unique_ptr<Pending> exchange(std::span<const Message> messages) override;
  void abort() noexcept override;
  void close(Deadline deadline) override;

 private:
  class PendingParts;

  /// The same on both sides of a message.
  [[nodiscard]] Carrier carrier_of(const Message& message) const;
  [[nodiscard]] bool same_node(RankId peer) const {
    return route_.nodes[peer.index()] == route_.nodes[self_.index()];
  }

  RankId self_;
  Route route_;
  std::array<std::unique_ptr<Transport>, kCarriers> carriers_;
  std::shared_ptr<Carried> carried_;
};

}  // namespace moeshift
