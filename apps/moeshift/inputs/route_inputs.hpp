// SPDX-License-Identifier: Apache-2.0
// Which experts tokens choose together: from the trace itself, or from a file beside it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "moeshift/cost/dispatch.hpp"
#include "moeshift/routing/route_summary.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"

namespace moeshift::cli {

/// A summary of ours, or tokens in any form of docs/formats.md.
/// @param recording how tokens are read: experts per layer, tokens of a step.
/// @throws InputError for bytes that are neither.
[[nodiscard]] RouteSummary read_routes(Session& session, const std::string& path,
                                       const TraceInputs& recording,
                                       const std::optional<std::string>& model);

/// --routes of the commands that plan.
class RouteInputs {
 public:
  void declare(Options& options);
  /// --routed-groups, of commands that estimate.
  void declare_limit(Options& options);

  /// The routes of steps with `load` in sum: the trace's `own`, else those of --routes, else none.
  ///
  /// A file beside a trace must be of its model, layers and experts, and its tokens must choose
  /// experts as the loads say: a layer whose shares differ by more than chance and a tenth of the
  /// tokens is of other traffic.
  /// @throws InputError naming layer and expert; also when both have routes.
  [[nodiscard]] std::shared_ptr<const RouteSummary> of(Session& session, const TraceHeader& header,
                                                       const LoadMatrix& load,
                                                       std::shared_ptr<const RouteSummary> own,
                                                       const TraceInputs& recording,
                                                       const std::optional<std::string>& model);
  /// Those of a whole trace that is read several times: of --routes, else the trace's own, else
  /// none. Own ones are of the traffic that is to be served: good for scoring, not for planning.
  /// @throws InputError as of(), but for the loads, which nobody has read yet.
  [[nodiscard]] std::shared_ptr<const RouteSummary> of_trace(
      Session& session, const TraceHeader& header, const TraceInputs& recording,
      const std::optional<std::string>& model);
  /// Group-limited gating, for estimates from loads alone. @throws InputError unless 1 .. groups.
  [[nodiscard]] GroupLimit limit(std::size_t groups) const;
  [[nodiscard]] bool given() const { return path_.has_value(); }

 private:
  std::optional<std::string> path_;
  std::optional<std::size_t> routed_groups_;
  std::shared_ptr<const RouteSummary> read_;
};

/// All windows of `routes` joined, as dispatch asks for them; null without routes.
[[nodiscard]] std::shared_ptr<const KnownRoutes> known_routes(const RouteSummary* routes);

}  // namespace moeshift::cli
