// SPDX-License-Identifier: Apache-2.0
// How a slow call tells how far it is, without knowing about terminals.
#pragma once

#include <cstdint>
#include <string_view>

namespace moeshift {

/// Told by slow calls; may be called from several threads at once.
class Progress {
 public:
  Progress() = default;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  virtual ~Progress() = default;

  /// `done` of `total` units of `what` are finished; total 0 = not known yet.
  /// @throws InterruptedError, where it can, once the user asked to stop: whoever tells how far it
  ///         is can be stopped there.
  virtual void update(std::string_view what, std::uint64_t done, std::uint64_t total) = 0;

  /// True once the user asked to stop, for callees that must end in order (the executor).
  [[nodiscard]] virtual bool interrupted() const { return false; }
};

/// Says nothing; for tests and for callers who do not care.
class NoProgress final : public Progress {
 public:
  void update(std::string_view, std::uint64_t, std::uint64_t) override {}
};

}  // namespace moeshift
