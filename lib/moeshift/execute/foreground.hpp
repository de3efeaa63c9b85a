// SPDX-License-Identifier: Apache-2.0
// A stand-in for the model that serves while experts move: its step time is what users feel.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "moeshift/core/units.hpp"
#include "moeshift/execute/transport.hpp"

namespace moeshift {

enum class ForegroundKind : std::uint8_t {
  kNone,
  kCompute,     ///< matrix products
  kMemory,      ///< memory traffic; "hbm" on the command line
  kCollective,  ///< an all-to-all on a communicator of its own
};

/// "none", "compute", "hbm", "collective".
[[nodiscard]] std::string_view name_of(ForegroundKind kind);
[[nodiscard]] std::optional<ForegroundKind> foreground_kind(std::string_view name);

/// A stream of the device that the steps of a model are enqueued on, as its run time knows it.
using ModelStream = void*;

/// A steady load on one rank. The engine starts a step, polls it beside the shuffle, and commits
/// layers between steps.
class Foreground {
 public:
  Foreground() = default;
  Foreground(const Foreground&) = delete;
  Foreground& operator=(const Foreground&) = delete;
  virtual ~Foreground() = default;

  /// Starts one step on a stream (or thread) of its own. One step at a time.
  [[nodiscard]] virtual std::unique_ptr<Pending> start_step() = 0;
  /// Where a step lies once it has been started: what is put there comes after it and before the
  /// next. Null where steps are on no stream, or the last one is not wholly there yet.
  [[nodiscard]] virtual ModelStream stream() const { return nullptr; }
  /// How long the last finished step took, by the device's own clock where it has one.
  [[nodiscard]] virtual Seconds last_step() const = 0;
};

}  // namespace moeshift
