// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/value_kind.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/formats/engines/engine_export.hpp"
#include "moeshift/formats/trace_format.hpp"
#include "moeshift/plan/registry.hpp"

#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {
namespace {

constexpr std::array kNames = std::to_array<std::pair<std::string_view, ValueName>>({
    {"--cluster", {ValueKind::kCluster, "CLUSTER"}},
    {"CLUSTER", {ValueKind::kCluster, "CLUSTER"}},
    {"--model", {ValueKind::kModel, "MODEL"}},
    {"MODEL", {ValueKind::kModel, "MODEL"}},
    {"--serving", {ValueKind::kServing, "NAME"}},
    {"--policy", {ValueKind::kPolicy, "POLICY"}},
    {"--policies", {ValueKind::kPolicy, ""}},
    {"--reference", {ValueKind::kPolicy, "POLICY"}},
    {"--backend", {ValueKind::kBackend, "BACKEND"}},
    {"--forecaster", {ValueKind::kForecaster, "FORECAST"}},
    {"--output", {ValueKind::kFile, "FILE"}},
    {"--from", {ValueKind::kFile, "PLAN"}},
    {"--initial", {ValueKind::kFile, "PLAN"}},
    {"--map", {ValueKind::kFile, "PLAN"}},
    {"--rank-speed", {ValueKind::kFile, "FILE"}},
    {"--step-time-file", {ValueKind::kFile, "FILE"}},
    {"--cluster-file", {ValueKind::kFile, "FILE"}},
    {"--memory-image", {ValueKind::kFile, "FILE"}},
    {"--timeline", {ValueKind::kFile, "FILE"}},
    {"--journal", {ValueKind::kFile, "FILE"}},
    {"--matrix", {ValueKind::kFile, "FILE"}},
    {"--config", {ValueKind::kFile, "FILE"}},
    {"SHELL", {ValueKind::kShell, ""}},
    {"TRACE", {ValueKind::kFile, ""}},
    {"RESULT", {ValueKind::kFile, ""}},
    {"BASELINE", {ValueKind::kFile, ""}},
    {"CONFIG", {ValueKind::kFile, ""}},
    {"PLAN", {ValueKind::kFile, ""}},
    {"OLD", {ValueKind::kFile, ""}},
    {"NEW", {ValueKind::kFile, ""}},
    {"IN", {ValueKind::kFile, ""}},
    {"OUT", {ValueKind::kFile, ""}},
    {"--windows", {ValueKind::kWord, "FIRST:LAST"}},
    {"--test", {ValueKind::kWord, "FIRST:LAST"}},
    {"--previous", {ValueKind::kWord, "FIRST:LAST"}},
    {"--timeline-steps", {ValueKind::kWord, "FIRST:LAST"}},
    {"--layers", {ValueKind::kWord, "FIRST:LAST"}},
    {"--scale", {ValueKind::kWord, "SHARE"}},
    {"--trace-model", {ValueKind::kWord, "NAME"}},
    {"--name", {ValueKind::kWord, "NAME"}},
    {"--rendezvous", {ValueKind::kWord, "ADDRESS"}},
});

template <class Rows>
std::vector<Candidate> rows_as_values(const Rows& rows) {
  std::vector<Candidate> values;
  for (const auto& row : rows) values.push_back({std::string(row.name), std::string(row.summary)});
  return values;
}

/// Shipped configurations; one that cannot be read is offered without a word about it.
template <class Read>
std::vector<Candidate> shipped(const char* kind, Read read) {
  Session session({}, {});
  std::vector<Candidate> values;
  for (std::string& name : session.shipped(kind)) {
    std::string description;
    try {
      description = read(session, name);
    } catch (const InputError&) {
      description.clear();
    }
    values.push_back({std::move(name), std::move(description)});
  }
  return values;
}

std::vector<Candidate> forecasters() {
  return {{"last", "the last recorded step"},
          {"mean:", "mean of the last H steps, as mean:1000"},
          {"ewma:", "steps weighted less the older they are, as ewma:0.05"},
          {"samples:", "H samples of N steps each, as samples:16x100"},
          {"recentred:", "samples moved to the newest level, as recentred:16x100:auto"}};
}

}  // namespace

ValueName value_name_of(std::string_view option) {
  const auto* const found =
      std::ranges::find(kNames, option, [](const auto& row) { return row.first; });
  return found == kNames.end() ? ValueName() : found->second;
}

std::vector<Candidate> values_of(ValueKind kind) {
  switch (kind) {
    case ValueKind::kCluster:
      return shipped("clusters", [](Session& session, const std::string& name) {
        return session.load_cluster(name).description;
      });
    case ValueKind::kModel:
      return shipped("models", [](Session& session, const std::string& name) {
        return session.load_model(name).description;
      });
    case ValueKind::kServing:
      return shipped("serving", [](Session&, const std::string&) { return std::string(); });
    case ValueKind::kPolicy:
      return rows_as_values(policies());
    case ValueKind::kBackend:
      return rows_as_values(linked_backends());
    case ValueKind::kForecaster:
      return forecasters();
    case ValueKind::kShell:
      return {{"bash", ""}, {"zsh", ""}, {"fish", ""}, {"man", "the manual page"}};
    case ValueKind::kWord:
    case ValueKind::kFile:
      break;
  }
  return {};
}

std::string description_of(std::string_view option, std::string_view choice) {
  const auto summary_in = [&](const auto& rows) -> std::string {
    for (const auto& row : rows) {
      if (row.name == choice) return std::string(row.summary);
    }
    return "";
  };
  if (option == "--policy") return summary_in(policies());
  if (option != "--to" && option != "--from-format" && option != "--format") return "";
  const std::string engine = summary_in(engine_formats());
  return engine.empty() ? summary_in(trace_formats()) : engine;
}

}  // namespace moeshift::cli
