// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/plan_quality/instances.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "moeshift/core/rng.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/registry.hpp"

namespace moeshift::quality {
namespace {

double expected_load(const std::string& kind, std::size_t place, Rng& rng) {
  if (kind == "zipf.5") return 1 / std::sqrt(static_cast<double>(place + 1));
  if (kind == "dir1") return -std::log(1 - rng.uniform());
  if (kind == "logn.3") return std::exp(0.3 * rng.normal());
  if (kind == "logn.6") return std::exp(0.6 * rng.normal());
  if (kind == "logn.9") return std::exp(0.9 * rng.normal());
  throw std::invalid_argument("no such synthetic load: " + kind);
}

/// Counts around an expectation, normal with the variance of Poisson counts.
double sampled(double expected, Rng& rng) {
  return std::max(0.0, std::round(expected + std::sqrt(expected) * rng.normal()));
}

void fill_row(std::span<double> row, const std::vector<double>& shares, Rng& rng) {
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  const double tokens = 1024.0 * static_cast<double>(row.size());
  for (std::size_t e = 0; e < row.size(); ++e) row[e] = sampled(shares[e] / total * tokens, rng);
}

}  // namespace

LoadMatrix synthetic_layers(const std::string& kind, std::size_t layers, std::size_t experts,
                            std::uint64_t seed) {
  LoadMatrix load(layers, experts);
  for (const LayerId layer : load.row_ids()) {
    Rng rng = Rng::stream(seed, layer.index());
    std::vector<double> shares(experts);
    for (std::size_t e = 0; e < experts; ++e) shares[e] = expected_load(kind, e, rng);
    fill_row(load.row(layer), shares, rng);
  }
  return load;
}

std::vector<LoadMatrix> drifting_windows(std::size_t layers, std::size_t experts, double phi,
                                         std::size_t windows, std::uint64_t seed) {
  constexpr std::size_t kDomains = 6;
  constexpr double kDeviation = 0.8;
  std::vector<std::vector<double>> profiles;  // [layers x domains][experts]
  for (std::size_t i = 0; i < layers * kDomains; ++i) {
    Rng rng = Rng::stream(seed + 1, i);
    std::vector<double> profile(experts);
    for (double& share : profile) share = std::exp(0.9 * rng.normal());
    profiles.push_back(std::move(profile));
  }
  Rng rng(seed);
  std::array<double, kDomains> level{};
  for (double& x : level) x = kDeviation * rng.normal();
  std::vector<LoadMatrix> all;
  for (std::size_t t = 0; t < windows; ++t) {
    LoadMatrix load(layers, experts);
    for (const LayerId layer : load.row_ids()) {
      std::vector<double> shares(experts, 0);
      for (std::size_t d = 0; d < kDomains; ++d) {
        const std::vector<double>& profile = profiles[layer.index() * kDomains + d];
        for (std::size_t e = 0; e < experts; ++e) shares[e] += std::exp(level[d]) * profile[e];
      }
      fill_row(load.row(layer), shares, rng);
    }
    all.push_back(std::move(load));
    for (double& x : level) {
      x = phi * x + std::sqrt(1 - phi * phi) * kDeviation * rng.normal();
    }
  }
  return all;
}

std::optional<LoadWindow> recording(const std::string& name) {
  const std::filesystem::path path =
      std::filesystem::path(MOESHIFT_SOURCE_DIR) / ".." / "shared" / "traces" / (name + ".jsonl");
  std::ifstream file(path);
  if (!file) {
    std::printf("(no recording %s beside the checkout: its rows are left out)\n", name.c_str());
    return {};
  }
  return load_window(file, name);
}

std::vector<LoadMatrix> windows_of(const std::vector<LoadMatrix>& loads, std::size_t steps) {
  std::vector<LoadMatrix> windows;
  for (std::size_t i = 0; i + steps <= loads.size(); i += steps) {
    windows.push_back(sum_of(std::span(loads).subspan(i, steps)));
  }
  return windows;
}

PlanProblem problem_of(const LoadMatrix& load, const Shape& shape) {
  return {.load = load,
          .samples = {},
          .topology = Topology(shape.ranks, shape.nodes),
          .slots = shape.slots()};
}

PlanResult plan_by(const std::string& policy, const PolicyOptions& options,
                   const PlanProblem& problem, std::size_t threads) {
  NoProgress quiet;
  return make_planner(policy, options)->plan(problem, Threads{threads}, quiet);
}

std::vector<double> balancedness_by_layer(const LoadMatrix& load, const Placement& placement) {
  const RankLoads loads = rank_loads(load, placement);
  std::vector<double> values;
  for (const LayerId layer : loads.row_ids()) {
    const auto row = loads.row(layer);
    const double mean =
        std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(row.size());
    values.push_back(mean > 0 ? mean / *std::max_element(row.begin(), row.end()) : 1);
  }
  return values;
}

double balancedness_of(const LoadMatrix& load, const Placement& placement) {
  return mean_of_values(balancedness_by_layer(load, placement));
}

Moves moves_between(const Placement& before, const Placement& after, const Topology& topology) {
  Moves moves;
  std::vector<int> on_rank(after.experts());
  std::vector<int> on_node(after.experts());
  for (const LayerId layer : all_ids<LayerId>(after.layers())) {
    for (const NodeId node : all_ids<NodeId>(topology.nodes())) {
      std::fill(on_node.begin(), on_node.end(), 0);
      for (const RankId rank : topology.ranks_of(node)) {
        for (const ExpertId e : before.rank_slots(layer, rank)) on_node[e.index()] = 1;
      }
      for (const RankId rank : topology.ranks_of(node)) {
        std::fill(on_rank.begin(), on_rank.end(), 0);
        for (const ExpertId e : before.rank_slots(layer, rank)) on_rank[e.index()] = 1;
        for (const ExpertId e : after.rank_slots(layer, rank)) {
          if (on_rank[e.index()]++ > 0) continue;
          moves.all += 1;
          if (on_node[e.index()] == 0) moves.inter_node += 1;
        }
      }
    }
  }
  moves.all /= static_cast<double>(after.layers());
  moves.inter_node /= static_cast<double>(after.layers());
  return moves;
}

double best_ms(int repeats, const std::function<void()>& work) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

double mean_of_values(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

const char* verdict(bool reached) {
  return reached ? "reached" : "MISSED";
}

}  // namespace moeshift::quality
