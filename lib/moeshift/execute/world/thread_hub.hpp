// SPDX-License-Identifier: Apache-2.0
// The control plane of ranks that are threads of one process. Used by the host transport and by
// GPU transports that run one thread per device.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/execute/control_plane.hpp"

namespace moeshift {

/// What the threads of one world share. Thread-safe.
class ThreadHub {
 public:
  explicit ThreadHub(std::size_t ranks);

  /// One all-gather: who has spoken and what.
  struct Round {
    std::vector<std::string> values;
    std::vector<bool> spoken;
    std::size_t count = 0;
  };

  [[nodiscard]] std::size_t size() const { return bells_.size(); }

  /// Adds what `rank` says to its next round.
  [[nodiscard]] std::shared_ptr<Round> speak(RankId rank, std::string_view value);
  [[nodiscard]] bool complete(const Round& round) const;
  [[nodiscard]] std::vector<RankId> missing(const Round& round) const;

  /// Keeps the first failure; wakes everybody.
  void fail(const Failure& failure);
  [[nodiscard]] std::optional<Failure> failure() const;

  /// Wakes `rank` from sleep().
  void ring(RankId rank);
  /// Returns once the rank's bell has rung since the last sleep() returned, or after `at_most`.
  void sleep(RankId rank, Seconds at_most);

 private:
  struct Bell {
    std::mutex mutex;
    std::condition_variable signal;
    bool rung = false;
  };

  void ring_all();

  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Round>> rounds_;
  IdVector<RankId, std::uint64_t> next_round_;
  std::optional<Failure> failure_;
  std::vector<std::unique_ptr<Bell>> bells_;
};

class ThreadControl final : public ControlPlane {
 public:
  ThreadControl(std::shared_ptr<ThreadHub> hub, RankId self) : hub_(std::move(hub)), self_(self) {}

  [[nodiscard]] RankId self() const override { return self_; }
  [[nodiscard]] std::size_t size() const override { return hub_->size(); }
  [[nodiscard]] std::unique_ptr<Gathering> all_gather(std::string_view mine) override;
  void fail(const Failure& failure) noexcept override { hub_->fail(failure); }
  [[nodiscard]] std::optional<Failure> failure() const override { return hub_->failure(); }
  void close() noexcept override {}

 private:
  std::shared_ptr<ThreadHub> hub_;
  RankId self_;
};

}  // namespace moeshift
