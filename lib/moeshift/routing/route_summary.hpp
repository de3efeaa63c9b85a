// SPDX-License-Identifier: Apache-2.0
// Which experts tokens choose together: a bounded summary of routes, by layer and window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// How many tokens chose both experts of a pair, [E, E] symmetric; stored as the upper triangle.
/// On the diagonal: how many tokens chose the expert.
class PairCounts {
 public:
  PairCounts() = default;
  explicit PairCounts(std::size_t experts)
      : experts_(experts), counts_(experts * (experts + 1) / 2, 0) {}

  [[nodiscard]] std::size_t experts() const { return experts_; }
  [[nodiscard]] std::uint32_t operator()(std::size_t a, std::size_t b) const {
    return counts_[a <= b ? place(a, b) : place(b, a)];
  }
  /// @throws InputError where a count would pass 2^32 - 1.
  void add(std::size_t a, std::size_t b, std::uint64_t tokens);
  /// @throws InputError likewise. @pre equal numbers of experts.
  void add(const PairCounts& other);
  /// The upper triangle, row after row, diagonal included: [E (E + 1) / 2].
  [[nodiscard]] std::span<const std::uint32_t> items() const { return counts_; }
  [[nodiscard]] std::span<std::uint32_t> items() { return counts_; }

  bool operator==(const PairCounts&) const = default;

 private:
  [[nodiscard]] std::size_t place(std::size_t low, std::size_t high) const {
    return low * experts_ - low * (low + 1) / 2 + high;
  }

  std::size_t experts_ = 0;
  std::vector<std::uint32_t> counts_;
};

inline constexpr std::uint32_t kUnknownSource = std::numeric_limits<std::uint32_t>::max();

/// Tokens of one layer drawn evenly from all of a window, for scoring that needs whole tokens.
///
/// A token's place in the draw is a hash of its number: the draw does not depend on how the tokens
/// came in batches, layers that see the same tokens draw the same ones, and two draws merge into
/// the draw of both.
struct RouteSample {
  std::size_t top_k = 0;
  std::vector<std::uint64_t> token;    ///< its number in the layer, ascending by hash
  std::vector<std::uint16_t> experts;  ///< [tokens, top_k]
  std::vector<std::uint32_t> source;   ///< [tokens] rank, kUnknownSource where not recorded

  [[nodiscard]] std::size_t size() const { return token.size(); }
  [[nodiscard]] std::span<const std::uint16_t> row(std::size_t i) const {
    return std::span(experts).subspan(i * top_k, top_k);
  }
  bool operator==(const RouteSample&) const = default;
};

/// What orders a draw; splitmix64.
[[nodiscard]] std::uint64_t draw_hash(std::uint64_t token);

/// One layer of one window.
struct LayerTogether {
  std::uint64_t tokens = 0;
  PairCounts pairs;
  std::vector<std::uint64_t> by_source;  ///< tokens that started on each rank; empty = unknown
  RouteSample sample;

  bool operator==(const LayerTogether&) const = default;
};

/// A stretch of steps.
struct RouteWindow {
  std::size_t first_step = 0;  ///< by position in the recording
  std::size_t steps = 0;
  std::vector<LayerTogether> layers;

  bool operator==(const RouteWindow&) const = default;
};

/// Windows of one recording, oldest first.
struct RouteSummary {
  std::string model;
  std::size_t num_experts = 0;
  std::size_t top_k = 0;
  std::size_t sample_limit = 0;         ///< most tokens that a layer of a window keeps
  std::vector<std::int64_t> layer_ids;  ///< the model's own numbers; empty = 0 .. layers-1
  std::vector<RouteWindow> windows;

  [[nodiscard]] std::size_t num_layers() const {
    return windows.empty() ? 0 : windows.front().layers.size();
  }
  bool operator==(const RouteSummary&) const = default;
};

/// Adds `other` to `layer`: counts add up, of both draws the first `limit` stay.
/// @throws InputError for other numbers of experts or of experts per token.
void merge(LayerTogether& layer, const LayerTogether& other, std::size_t limit);

/// The windows of `all` but those in [first, last), as one layer each. O(windows E^2).
/// @return nothing when no window is left.
[[nodiscard]] std::vector<LayerTogether> joined_windows(const RouteSummary& all,
                                                        std::size_t first = 0,
                                                        std::size_t last = 0);

/// One layer of that, with at most `most_sampled` tokens of the draw. @pre a window is left.
[[nodiscard]] LayerTogether joined_layer(
    const RouteSummary& all, std::size_t layer, std::size_t first = 0, std::size_t last = 0,
    std::size_t most_sampled = std::numeric_limits<std::size_t>::max());

/// The same recording, more of it: windows of `other` follow those of `into`.
/// @throws InputError naming `place` for another model, number of experts, layers or experts per
///         token.
void append(RouteSummary& into, RouteSummary other, const std::string& place);

/// [layers, experts] tokens of all windows together.
[[nodiscard]] LoadMatrix loads_of(const RouteSummary& summary);

/// Bytes that a window of this shape takes in memory.
[[nodiscard]] std::size_t window_bytes(std::size_t layers, std::size_t experts, std::size_t top_k,
                                       std::size_t sample_limit);

}  // namespace moeshift
