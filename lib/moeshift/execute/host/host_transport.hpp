// SPDX-License-Identifier: Apache-2.0
// Ranks are threads; the receiver copies straight out of the sender's memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/execute/transport.hpp"
#include "moeshift/execute/world/thread_hub.hpp"

namespace moeshift {

/// Bytes that a sender lets a receiver read, until `taken`.
struct Offer {
  const std::byte* pointer = nullptr;
  Bytes bytes;
  std::atomic<bool> taken{false};
};

/// The offers from every rank to every other, first in first out. Thread-safe.
class HostMailboxes {
 public:
  explicit HostMailboxes(std::size_t ranks) : ranks_(ranks), boxes_(ranks * ranks) {}

  void post(RankId from, RankId to, std::shared_ptr<Offer> offer);
  /// The `index`-th offer from `from` to `to`, once it is there.
  [[nodiscard]] std::shared_ptr<Offer> take(RankId from, RankId to, std::uint64_t index);

 private:
  struct Box {
    std::mutex mutex;
    std::deque<std::shared_ptr<Offer>> offers;  ///< null: taken out of order
    std::uint64_t first = 0;                    ///< index of offers.front()
  };

  Box& box(RankId from, RankId to) { return boxes_[from.index() * ranks_ + to.index()]; }

  std::size_t ranks_;
  std::deque<Box> boxes_;
};

class HostTransport final : public Transport {
 public:
  HostTransport(std::shared_ptr<ThreadHub> hub, std::shared_ptr<HostMailboxes> mail, RankId self);
  ~HostTransport() override { abort(); }

  /// Never gathers: a copy out of the sender's slot is as cheap as one out of a send buffer.
  [[nodiscard]] TransportTraits traits() const override { return {}; }
  void connect(std::span<const RankId>, std::span<const RankId>, Deadline) override {}
  [[nodiscard]] std::unique_ptr<Pending> exchange(std::span<const Message> messages) override;
  void abort() noexcept override { *aborted_ = true; }
  void close(Deadline) override {}

 private:
  std::shared_ptr<ThreadHub> hub_;
  std::shared_ptr<HostMailboxes> mail_;
  RankId self_;
  std::shared_ptr<std::atomic<bool>> aborted_;
  IdVector<RankId, std::uint64_t> received_;  ///< receives posted so far, by source
};

}  // namespace moeshift
