// SPDX-License-Identifier: Apache-2.0
// Is this result worse than that one? Two envelopes of one command, metric by metric.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/report/figure.hpp"

namespace moeshift {

/// How much worse a metric may get. Relative tolerances are shares of |baseline|.
struct Tolerance {
  double amount = 0;
  bool relative = false;
};

/// One condition of `check`: the metrics that `metric` names may get worse by `tolerance`.
///
/// `metric` is a dotted path below "result", or the end of one ("balancedness"), in which case it
/// names every shallowest value whose path ends so. `*` stands for any one part. Items of a list
/// of objects are called by their "policy", "name" or "layer", or else by their number.
struct Gate {
  std::string metric;
  Tolerance tolerance;
};

enum class Outcome { kBetter, kSame, kWorse, kMissing, kNew };

/// One metric of both results.
struct MetricComparison {
  std::string path;  ///< dotted, below "result"
  Better better = Better::kNeither;
  Tolerance tolerance;
  std::optional<double> baseline;  ///< absent: not there, or no number
  std::optional<double> value;
  std::string baseline_text;  ///< as JSON, of whatever kind
  std::string value_text;
  Outcome outcome = Outcome::kSame;

  /// value - baseline as a share of |baseline|; absent without both numbers or for baseline 0.
  [[nodiscard]] std::optional<double> relative_change() const;
  /// True for what must not pass: worse, or vanished.
  [[nodiscard]] bool fails() const {
    return outcome == Outcome::kWorse || outcome == Outcome::kMissing;
  }
};

/// "better", "same", "worse", "missing" (the result lost it), "new" (the baseline lacks it).
[[nodiscard]] std::string_view name_of(Outcome outcome);

/// Reads "balancedness=0.5%" or "totals.bytes_by_link.inter_node=0".
/// @param option what errors call the text: "--fail-on".
/// @throws InputError unless the tolerance is a finite number >= 0.
[[nodiscard]] Gate parse_gate(std::string_view text, std::string_view option);

/// What `check` asks of a result when it is told nothing: what is reproducible and matters of each
/// command ("plan", "moves", ...). Of loads only what does not grow with them: balancedness, gaps,
/// transfers per layer, ratios; never tokens. Empty for a command without such metrics.
[[nodiscard]] std::vector<Gate> default_gates(std::string_view command);

/// The <command> of an envelope's schema "moeshift.<command>/1" or "/2".
/// @throws InputError "source#/schema: ..." when this is no envelope of a known version.
[[nodiscard]] std::string command_of(const nlohmann::ordered_json& envelope,
                                     const std::string& source);

/// Holds `result` against `baseline`, both whole envelopes, in the order of the gates and then of
/// the baseline.
/// @throws InputError when the commands differ, or a gate names nothing in the baseline.
/// O(gates * values).
[[nodiscard]] std::vector<MetricComparison> compare_results(const nlohmann::ordered_json& result,
                                                            const std::string& result_source,
                                                            const nlohmann::ordered_json& baseline,
                                                            const std::string& baseline_source,
                                                            std::span<const Gate> gates);

}  // namespace moeshift
