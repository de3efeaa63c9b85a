// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/peer/auto_transport.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {

std::string_view name_of(Carrier carrier) {
  constexpr std::array<std::string_view, kCarriers> kNames = {"ce", "peer", "nccl"};
  return kNames[static_cast<std::size_t>(carrier)];
}

/// One exchange, spread over the carriers: all are asked each time, so that each goes on.
class AutoTransport::PendingParts final : public Pending {
 public:
  explicit PendingParts(std::vector<std::unique_ptr<Pending>> parts) : parts_(std::move(parts)) {}

  [[nodiscard]] bool poll() override {
    bool done = true;
    for (const std::unique_ptr<Pending>& part : parts_) done &= part->poll();
    return done;
  }
  [[nodiscard]] std::vector<RankId> waiting_for() const override {
    std::vector<RankId> ranks;
    for (const std::unique_ptr<Pending>& part : parts_) {
      for (const RankId rank : part->waiting_for()) ranks.push_back(rank);
    }
    std::ranges::sort(ranks);
    const auto repeated = std::ranges::unique(ranks);
    ranks.erase(repeated.begin(), repeated.end());
    return ranks;
  }
  /// Of the carrier that took longest: they work side by side.
  [[nodiscard]] std::optional<Seconds> device_time() const override {
    std::optional<Seconds> longest;
    for (const std::unique_ptr<Pending>& part : parts_) {
      if (const auto time = part->device_time()) longest = std::max(longest.value_or(*time), *time);
    }
    return longest;
  }

 private:
  std::vector<std::unique_ptr<Pending>> parts_;
};

AutoTransport::AutoTransport(RankId self, Route route,
                             std::array<std::unique_ptr<Transport>, kCarriers> carriers,
                             std::shared_ptr<Carried> carried)
    : self_(self),
      route_(std::move(route)),
      carriers_(std::move(carriers)),
      carried_(std::move(carried)) {}

/// Between nodes as NCCL likes it, within them as the others do.
TransportTraits AutoTransport::traits() const {
  const TransportTraits inside = carriers_[0]->traits();
  const auto& network = carriers_[static_cast<std::size_t>(Carrier::kNetwork)];
  TransportTraits traits = network ? network->traits() : inside;
  traits.islands = route_.nodes;
  traits.messages_inside = inside.messages_per_pair;
  return traits;
}

Carrier AutoTransport::carrier_of(const Message& message) const {
  if (!same_node(message.peer)) return Carrier::kNetwork;
  return message.bytes >= route_.engines_from ? Carrier::kCopyEngines : Carrier::kStores;
}

void AutoTransport::connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
                            Deadline deadline) {
  const auto some = [&](std::span<const RankId> ranks, bool inside) {
    std::vector<RankId> chosen;
    for (const RankId rank : ranks) {
      if (same_node(rank) == inside) chosen.push_back(rank);
    }
    return chosen;
  };
  for (std::size_t i = 0; i < kCarriers; ++i) {
    if (!carriers_[i]) continue;
    const bool inside = static_cast<Carrier>(i) != Carrier::kNetwork;
    carriers_[i]->connect(some(send_to, inside), some(receive_from, inside), deadline);
  }
}

std::unique_ptr<Pending> AutoTransport::exchange(std::span<const Message> messages) {
  std::array<std::vector<Message>, kCarriers> shares;
  for (const Message& message : messages) {
    const auto carrier = static_cast<std::size_t>(carrier_of(message));
    shares[carrier].push_back(message);
    if (message.direction == Direction::kSend) {
      carried_->bytes[carrier] += message.bytes.count();
    }
  }
  std::vector<std::unique_ptr<Pending>> parts;
  for (std::size_t i = 0; i < kCarriers; ++i) {
    if (shares[i].empty()) continue;
    MOESHIFT_CHECK(carriers_[i] != nullptr);
    parts.push_back(carriers_[i]->exchange(shares[i]));
  }
  return std::make_unique<PendingParts>(std::move(parts));
}

void AutoTransport::abort() noexcept {
  for (const std::unique_ptr<Transport>& carrier : carriers_) {
    if (carrier) carrier->abort();
  }
}

void AutoTransport::close(Deadline deadline) {
  for (const std::unique_ptr<Transport>& carrier : carriers_) {
    if (carrier) carrier->close(deadline);
  }
}

}  // namespace moeshift
