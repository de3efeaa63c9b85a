// SPDX-License-Identifier: Apache-2.0
// What a result must reach by itself, whatever came before: "balancedness>=0.95".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace moeshift {

enum class Relation { kAtLeast, kAtMost, kMore, kLess, kEqual };

/// `metric` names figures as a Gate does.
struct Requirement {
  std::string metric;
  Relation relation = Relation::kAtLeast;
  double limit = 0;
};

/// One figure that a requirement names.
struct RequirementOutcome {
  std::string path;
  Requirement requirement;
  double value = 0;
  bool met = false;
};

/// Reads "gap_max<=2%" or "totals.rounds==0": one of >=, <=, >, <, ==, a finite number, % for
/// shares.
/// @param option what errors call the text. @throws InputError otherwise.
[[nodiscard]] Requirement parse_requirement(std::string_view text, std::string_view option);
/// ">= 0.95"
[[nodiscard]] std::string to_string(const Requirement& requirement);

/// Every figure that the requirements name, in their order.
/// @throws InputError when one names nothing in the result, or what is no number.
[[nodiscard]] std::vector<RequirementOutcome> hold_against(
    const nlohmann::ordered_json& envelope, const std::string& source,
    std::span<const Requirement> requirements);

}  // namespace moeshift
