// SPDX-License-Identifier: Apache-2.0
// From a stream of routes to their summary, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/model/routes.hpp"
#include "moeshift/routing/route_summary.hpp"

namespace moeshift {

struct SummaryOptions {
  std::size_t most_windows = 8;     ///< >= 2; fewer where they would not fit most_bytes
  std::size_t sample_limit = 4096;  ///< tokens that a layer of a window keeps
  std::size_t most_bytes = std::size_t{120} << 20U;
  /// Of the world that was recorded: a source at or beyond is refused; 0 = any below 2^20.
  std::size_t ranks = 0;
};

/// Takes routes step by step.
///
/// Windows are of one step each until there are more than `most_windows`; then neighbours are
/// joined, and every later window is twice as long: the number of windows stays between half of
/// that and that, however long the recording. Equal steps give equal summaries, on any number of
/// threads. O(top_k^2) per token and layer.
class RouteSummarizer {
 public:
  /// @param summary model, num_experts, top_k and layer_ids are taken from it.
  RouteSummarizer(RouteSummary summary, std::size_t num_layers, const SummaryOptions& options = {});

  ~RouteSummarizer();
  RouteSummarizer(RouteSummarizer&&) noexcept;
  RouteSummarizer& operator=(RouteSummarizer&&) noexcept;

  /// @throws InputError naming step, layer and row: ids out of range, an expert twice in a row,
  ///         another number of experts per token, a layer without tokens where others have some,
  ///         unknown sources.
  void add(const Routes& routes, Threads threads);
  /// @throws InputError when nothing was added.
  [[nodiscard]] RouteSummary take() &&;

 private:
  struct LayerSums;

  void add_layer(std::size_t layer, const LayerRoutes& routes, LayerSums& sums) const;
  void close_window();
  /// Goes on with a window that has fewer steps than windows now have.
  void reopen(RouteWindow newest);
  [[nodiscard]] std::string place(std::size_t layer, std::size_t row) const;

  RouteSummary summary_;
  SummaryOptions options_;
  std::size_t num_layers_;
  std::size_t most_windows_;
  std::size_t steps_per_window_ = 1;
  std::size_t step_ = 0;  ///< steps added so far
  std::size_t open_steps_ = 0;
  /// Counts of the open window, [layers][E, E], the row being the expert that stands first in its
  /// token's row: without a branch per pair, folded into a triangle when the window closes.
  std::vector<LayerSums> open_;
  std::vector<std::uint64_t> seen_;  ///< [layers] tokens of all windows
};

}  // namespace moeshift
