// SPDX-License-Identifier: Apache-2.0
// All placement policies by name: what they are, whose they are, how to make one.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "moeshift/plan/planner.hpp"
#include "moeshift/plan/policy_options.hpp"

namespace moeshift {

struct IncrementalOptions;

/// A row of the policy table.
struct PolicyEntry {
  std::string_view name;
  std::string_view summary;  ///< one line
  std::string_view source;   ///< the repository and function, or paper, that it follows
  std::unique_ptr<Planner> (*make)(const PolicyOptions& options);
  bool survives = false;  ///< heeds PlanProblem::survive
};

/// All policies, in the order of help and tables.
[[nodiscard]] std::span<const PolicyEntry> policies();

/// The policy called `name`, with what the options ask of every policy put around it: coverage,
/// objective, slots that differ by layer.
/// @throws InputError for an unknown name (with the nearest known one) and for options that the
///         policy refuses.
[[nodiscard]] std::unique_ptr<Planner> make_planner(std::string_view name,
                                                    const PolicyOptions& options = {});

/// How `incremental` and `robust` search for what is asked of them (warm/incremental.hpp).
[[nodiscard]] IncrementalOptions incremental_options(const PolicyOptions& options);
[[nodiscard]] IncrementalOptions robust_options(const PolicyOptions& options);

}  // namespace moeshift
