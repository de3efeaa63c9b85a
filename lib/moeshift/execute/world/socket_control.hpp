// SPDX-License-Identifier: Apache-2.0
// The control plane of ranks that are processes: sockets from every rank to rank 0.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/file_descriptor.hpp"
#include "moeshift/execute/world/frame.hpp"

namespace moeshift {

/// A thread of its own serves the sockets, so that a peer's failure or death is known at once,
/// whatever this rank is busy with. A connection that ends without leave is a failure of the rank
/// behind it: a killed process is noticed when the system closes its sockets.
class SocketControl final : public ControlPlane {
 public:
  /// @param connections on rank 0 one per other rank (rank 1 first), elsewhere one, to rank 0.
  SocketControl(RankId self, std::size_t size, std::vector<FileDescriptor> connections);
  /// Says what has not been said yet (for at most a second) and hangs up.
  ~SocketControl() override;

  [[nodiscard]] RankId self() const override { return self_; }
  [[nodiscard]] std::size_t size() const override { return size_; }
  [[nodiscard]] std::unique_ptr<Gathering> all_gather(std::string_view mine) override;
  void fail(const Failure& failure) noexcept override;
  [[nodiscard]] std::optional<Failure> failure() const override;
  void close() noexcept override;

  /// One all-gather as this end sees it.
  struct Round {
    std::vector<std::string> values;
    std::vector<bool> spoken;  ///< rank 0 only
    std::size_t count = 0;     ///< rank 0 only
    bool complete = false;
    std::optional<std::vector<RankId>> missing;  ///< rank 0's answer, when asked
  };
  [[nodiscard]] bool complete(const Round& round) const;
  [[nodiscard]] std::vector<RankId> missing(std::uint64_t number, const Round& round);

 private:
  struct Peer {
    RankId rank;
    FileDescriptor socket;
    std::string incoming;
    std::string outgoing;
    std::uint64_t spoken = 0;  ///< rank 0 only: rounds that it has a value in
    bool gone = false;         ///< said bye, or its socket is closed
  };

  [[nodiscard]] bool leads() const { return self_ == RankId(0); }

  // On the serving thread.
  void serve();
  [[nodiscard]] bool wait_for_events();
  void read_from(Peer& peer);
  void write_to(Peer& peer);
  void take_frames(Peer& peer);
  void handle(Peer& peer, const Frame& frame);
  void hear_value(Peer& peer, const Frame& frame);
  void hear_result(const Frame& frame);
  void hear_missing(Peer& peer, const Frame& frame);
  void lose(Peer& peer, const std::string& reason);

  // With the lock held.
  void add_value(RankId rank, std::uint64_t number, std::string value);
  void answer_missing(Peer& peer, std::uint64_t number);
  void note_failure(const Failure& failure);
  void post(Peer& peer, const Frame& frame);
  void post_all(const Frame& frame);
  [[nodiscard]] std::shared_ptr<Round> round(std::uint64_t number);
  [[nodiscard]] bool all_said() const;

  void ring();
  void flush(std::chrono::milliseconds at_most);

  RankId self_;
  std::size_t size_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Peer> peers_;
  std::map<std::uint64_t, std::shared_ptr<Round>> rounds_;
  std::uint64_t next_round_ = 0;
  std::optional<Failure> failure_;
  std::atomic<bool> failed_{false};
  bool closing_ = false;
  bool stop_ = false;
  FileDescriptor bell_read_;
  FileDescriptor bell_write_;
  std::jthread thread_;
};

}  // namespace moeshift
