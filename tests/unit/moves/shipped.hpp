// SPDX-License-Identifier: Apache-2.0
// Shipped clusters and models, and rearrangements planned on recorded loads.
#pragma once

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/trace/window.hpp"

#include "tests/support/catch.hpp"

namespace moeshift::test {

inline nlohmann::ordered_json read_json(const std::string& relative) {
  std::ifstream in(source_path(relative));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return parse_json(text, relative);
}

inline Cluster shipped_cluster(const std::string& name) {
  const auto json = read_json("configs/clusters/" + name + ".json");
  return read_cluster({json, name});
}

inline MoeModel shipped_model(const std::string& name) {
  const auto json = read_json("configs/models/" + name + ".json");
  return read_moe_model({json, name});
}

inline Placement planned(const std::string& policy, const LoadMatrix& load,
                         const Topology& topology, std::size_t slots, std::size_t groups,
                         const Placement* old = nullptr) {
  NoProgress silent;
  const PlanProblem problem{
      .load = load, .topology = topology, .slots = slots, .expert_groups = groups, .old = old};
  return make_planner(policy)->plan(problem, Threads{2}, silent).placement;
}

/// The plans of a policy for every step of a recorded trace, one after another.
inline std::vector<Placement> step_by_step(const std::filesystem::path& trace,
                                           const std::string& policy, const Topology& topology,
                                           std::size_t slots) {
  std::ifstream in(trace);
  const LoadWindow window = load_window(in, trace.filename().string());
  std::vector<Placement> plans;
  for (const LoadMatrix& load : window.loads) {
    const Placement* old = plans.empty() ? nullptr : &plans.back();
    Placement next =
        planned(policy, load, topology, slots, window.header.num_expert_groups.value_or(1), old);
    plans.push_back(std::move(next));
  }
  return plans;
}

}  // namespace moeshift::test
