// SPDX-License-Identifier: Apache-2.0
// How ranks agree: small messages among all of them, with deadlines, beside the data.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/core/ids.hpp"
#include "moeshift/execute/transport.hpp"

namespace moeshift {

/// Where a layer stands on one rank; it only ever goes forward.
enum class Phase : std::uint8_t {
  kSetup,      ///< before the first layer: joining, hash agreement, memory, connections
  kPlanned,    ///< nothing has happened yet
  kStaging,    ///< copies and transfers into staging buffers are under way
  kStaged,     ///< this rank has all it needs
  kVoted,      ///< every rank has said that it is staged
  kCommitted,  ///< the live slots hold the new experts
  kVerified,   ///< every byte of the layer was recomputed and compared
};
/// "setup", "planned", "staging", "staged", "voted", "committed", "verified".
[[nodiscard]] std::string_view name_of(Phase phase);

/// What went wrong, where. The same record reaches every rank.
struct Failure {
  RankId rank;                                  ///< the rank at fault, as far as known
  std::optional<LayerId> layer = std::nullopt;  ///< the layer it was about, if any
  Phase phase = Phase::kSetup;                  ///< what was being done
  std::string reason;                           ///< "no vote within 30 s", "process ended"
  bool interrupted = false;                     ///< the user asked for it (exit 130, not 3)

  /// "rank 3, layer 12, staging: no vote within 30 s".
  [[nodiscard]] std::string message() const;
};

/// A failure as an exception; exit code 3 (130 when interrupted).
class ShuffleFailure : public DeviceError {
 public:
  explicit ShuffleFailure(Failure failure)
      : DeviceError(failure.message()), failure_(std::move(failure)) {}
  [[nodiscard]] const Failure& failure() const { return failure_; }

 private:
  Failure failure_;
};

/// An all-gather under way.
class Gathering : public Pending {
 public:
  /// What every rank said, by rank. Call once poll() said true.
  [[nodiscard]] virtual const std::vector<std::string>& values() const = 0;
};

/// One rank's end of the control plane. Calls come from one thread at a time, except failure(),
/// which any thread of the rank may ask.
///
/// Everything the engine needs follows from two things: an all-gather (barrier, hash agreement,
/// votes, results) and a failure that reaches everybody.
class ControlPlane {
 public:
  ControlPlane() = default;
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;
  virtual ~ControlPlane() = default;

  [[nodiscard]] virtual RankId self() const = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;

  /// Starts an all-gather of one small value per rank (<= 1 MiB). All ranks start the same ones in
  /// the same order; one is under way at a time. The caller polls and watches failure() and its
  /// own deadline.
  [[nodiscard]] virtual std::unique_ptr<Gathering> all_gather(std::string_view mine) = 0;

  /// Tells every rank, once; the first failure of all wins everywhere it arrives first.
  virtual void fail(const Failure& failure) noexcept = 0;
  /// The failure that this rank knows of: its own, a peer's, or a peer that ended without leave.
  [[nodiscard]] virtual std::optional<Failure> failure() const = 0;

  /// The orderly end: after it, peers that go away are no failure. All ranks call it.
  virtual void close() noexcept = 0;
};

}  // namespace moeshift
