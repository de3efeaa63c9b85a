// SPDX-License-Identifier: Apache-2.0
// What a test says to the rule-enforcing library, and what the library has found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rulebook {

/// A failure on purpose.
struct Fault {
  enum class Kind : std::uint8_t {
    kRefuse,   ///< the call that ends the group returns an error
    kAsync,    ///< the group is taken; later the communicator is in error
    kStop,     ///< the group's kernel never ends, as with a peer that was killed
    kCorrupt,  ///< one byte of what the group receives is wrong
  };
  Kind kind = Kind::kRefuse;
  int rank = 0;
  std::size_t group = 0;  ///< the rank's so-many-th group of a communicator, from 0
};

struct Options {
  std::uint64_t seed = 1;
  /// A piece of device work waits for 0 to this many turns of others before it may run.
  std::uint64_t delay = 8;
  int devices = 64;
  std::size_t device_bytes = std::size_t{1} << 33U;
  int multiprocessors = 132;
  int channels = 32;           ///< of a communicator that asks for no other number
  int channels_per_peer = 32;  ///< which one message occupies
  /// Two communicators of the same ranks must be used in one order everywhere, also where their
  /// kernels would fit side by side.
  bool one_order = false;
  /// Work that waits for a peer and sees no progress anywhere for so long is reported.
  double stuck_after = 20.0;
  bool fp8_allowed = false;  ///< HCCL: devices newer than A3
  std::vector<Fault> faults = {};
};

/// A broken rule.
struct Finding {
  std::string rule;  ///< "buffer before its event", "size mismatch", "deadlock", ...
  int rank = -1;
  std::string call;                 ///< "ncclSend(16 bytes to 3)"
  std::string text;                 ///< what is wrong, in a sentence
  std::vector<std::string> within;  ///< ranges that were open, outermost first: "stage layer 3"

  /// All of it in a line.
  [[nodiscard]] std::string line() const;
};

/// Starts over: nothing allocated, nothing found. No handle of before may be in use.
void configure(const Options& options);
/// What was found since configure().
[[nodiscard]] std::vector<Finding> findings();
/// Everything that is still allocated, open or mapped, as findings of the rule "leak".
[[nodiscard]] std::vector<Finding> leaks();
/// Pieces of device work that have run since configure().
[[nodiscard]] std::uint64_t turns();

/// Runs all device work that can run now.
void settle();
/// From now on no event of the calling thread's device is recorded, as if none ever were, until one
/// is missed.
void drop_records();
/// As if the process of the calling thread's device had ended: its communicators and their work are
/// gone, and nobody is told.
void end_rank();

/// Says what the calling thread is about: findings name it.
[[nodiscard]] std::uint64_t range_begin(const std::string& name);
void range_end(std::uint64_t range);

}  // namespace rulebook
