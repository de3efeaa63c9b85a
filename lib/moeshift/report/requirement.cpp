// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/requirement.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/report/metric_path.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

/// Two characters before one: ">=" is no ">".
constexpr std::array<std::pair<std::string_view, Relation>, 5> kRelations = {{
    {">=", Relation::kAtLeast},
    {"<=", Relation::kAtMost},
    {"==", Relation::kEqual},
    {">", Relation::kMore},
    {"<", Relation::kLess},
}};

bool holds(double value, Relation relation, double limit) {
  switch (relation) {
    case Relation::kAtLeast:
      return value >= limit;
    case Relation::kAtMost:
      return value <= limit;
    case Relation::kMore:
      return value > limit;
    case Relation::kLess:
      return value < limit;
    case Relation::kEqual:
      return value == limit;
  }
  return false;
}

[[noreturn]] void fail_unnamed(const std::string& metric, const std::vector<MetricLeaf>& leaves,
                               const std::string& source) {
  std::set<std::string> names;
  for (const MetricLeaf& leaf : leaves) {
    if (!leaf.path.empty()) names.insert(leaf.path.back());
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  throw InputError(source + "#/result",
                   fmt::format("has no metric '{}'{}", metric, did_you_mean(metric, known)));
}

}  // namespace

Requirement parse_requirement(std::string_view text, std::string_view option) {
  const auto fail = [&]() -> InputError {
    return {std::string(option),
            fmt::format("expected a metric, one of >= <= > < == and a number, such as "
                        "balancedness>=0.95, got '{}'",
                        text)};
  };
  const std::size_t at = text.find_first_of("<>=");
  if (at == std::string_view::npos || at == 0) throw fail();
  Requirement requirement{.metric =
                              std::string(text.substr(0, text.find_last_not_of(' ', at - 1) + 1))};
  std::string_view amount = text.substr(at);
  const auto* relation = std::find_if(kRelations.begin(), kRelations.end(), [&](const auto& one) {
    return amount.starts_with(one.first);
  });
  if (relation == kRelations.end()) throw fail();
  requirement.relation = relation->second;
  amount.remove_prefix(relation->first.size());
  amount.remove_prefix(std::min(amount.find_first_not_of(' '), amount.size()));
  const bool share = amount.ends_with('%');
  if (share) amount.remove_suffix(1);
  const char* end = amount.data() + amount.size();
  const auto [stop, error] = std::from_chars(amount.data(), end, requirement.limit);
  if (error != std::errc{} || stop != end || !std::isfinite(requirement.limit)) throw fail();
  if (share) requirement.limit /= 100;
  return requirement;
}

std::string to_string(const Requirement& requirement) {
  for (const auto& [name, relation] : kRelations) {
    if (relation == requirement.relation) return fmt::format("{} {:g}", name, requirement.limit);
  }
  return "";
}

std::vector<RequirementOutcome> hold_against(const Json& envelope, const std::string& source,
                                             std::span<const Requirement> requirements) {
  const auto leaves = leaves_of(JsonReader(envelope, source).at("result").raw());
  std::vector<RequirementOutcome> outcomes;
  for (const Requirement& requirement : requirements) {
    const auto named = leaves_named(leaves, split_path(requirement.metric));
    if (named.empty()) fail_unnamed(requirement.metric, leaves, source);
    for (const MetricLeaf& leaf : named) {
      const std::string path = join_path(leaf.path);
      if (!leaf.value->is_number() && !leaf.value->is_boolean()) {
        throw InputError(source + "#/result",
                         fmt::format("'{}' is {}, and no number", path, leaf.value->dump()));
      }
      const double value = leaf.value->is_boolean() ? (leaf.value->get<bool>() ? 1.0 : 0.0)
                                                    : leaf.value->get<double>();
      outcomes.push_back(
          {path, requirement, value, holds(value, requirement.relation, requirement.limit)});
    }
  }
  return outcomes;
}

}  // namespace moeshift
