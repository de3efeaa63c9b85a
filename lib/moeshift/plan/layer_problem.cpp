// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/layer_problem.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/cost/rank_speed.hpp"

namespace moeshift {
namespace {

void check_shape(const PlanProblem& problem) {
  const std::size_t ranks = problem.topology.ranks();
  if (problem.layers() == 0 || problem.experts() == 0) {
    throw InputError("", "expected a load of at least one layer and one expert");
  }
  if (problem.slots == 0 || problem.slots % ranks != 0) {
    const std::size_t fewer = problem.slots / ranks * ranks;
    const std::size_t fewest = (problem.experts() + ranks - 1) / ranks * ranks;
    const std::string or_fewer = fewer >= fewest ? fmt::format("{} or ", fewer) : "";
    throw InputError(
        "", fmt::format("{} slots do not divide evenly over {} ranks; {}{} would", problem.slots,
                        ranks, or_fewer, std::max(fewer + ranks, fewest)));
  }
  for (const RankId rank : problem.inactive) {
    if (rank.index() < ranks) continue;
    throw InputError(
        "", fmt::format("inactive rank {} is not among the {} ranks", rank.value(), ranks));
  }
  const std::size_t active = active_ranks(problem).size();
  if (active * problem.slots_per_rank() >= problem.experts()) return;
  throw InputError("", fmt::format("{} slots on {} active ranks cannot hold {} experts",
                                   active * problem.slots_per_rank(), active, problem.experts()));
}

void check_groups(const PlanProblem& problem) {
  if (problem.expert_groups == 0 || problem.expert_groups > problem.experts()) {
    throw InputError("", fmt::format("expected 1 .. {} expert groups, not {}", problem.experts(),
                                     problem.expert_groups));
  }
  for (const LoadMatrix& sample : problem.samples) {
    MOESHIFT_CHECK(sample.rows() == problem.layers() && sample.columns() == problem.experts());
  }
}

void check_old(const PlanProblem& problem) {
  const Placement* old = problem.old;
  if (old == nullptr) return;
  if (old->layers() == problem.layers() && old->experts() == problem.experts()) return;
  throw InputError("",
                   fmt::format("the old placement has {} layers x {} experts, the load {} x {}",
                               old->layers(), old->experts(), problem.layers(), problem.experts()));
}

/// What a rank held, without the empty slots past `most`.
std::span<const ExpertId> without_empty_end(std::span<const ExpertId> held, std::size_t most) {
  if (held.size() <= most) return held;
  const auto rest = held.subspan(most);
  const bool empty = std::all_of(rest.begin(), rest.end(), [](ExpertId e) { return e.is_none(); });
  return empty ? held.first(most) : held;
}

bool whole_numbers(std::span<const double> load) {
  return std::all_of(load.begin(), load.end(),
                     [](double tokens) { return tokens == std::floor(tokens); });
}

}  // namespace

std::vector<RankId> active_ranks(const PlanProblem& problem) {
  std::vector<RankId> active;
  for (const RankId rank : all_ids<RankId>(problem.topology.ranks())) {
    const auto& inactive = problem.inactive;
    if (std::find(inactive.begin(), inactive.end(), rank) == inactive.end()) active.push_back(rank);
  }
  return active;
}

std::vector<double> active_speeds(const PlanProblem& problem) {
  if (relative_speeds(problem.rank_speed, problem.topology.ranks()).empty()) return {};
  std::vector<double> speed;
  for (const RankId rank : active_ranks(problem)) speed.push_back(problem.rank_speed[rank.index()]);
  return relative_speeds(speed, speed.size());
}

RankLoads active_times(const PlanProblem& problem, RankLoads loads) {
  const std::vector<double> speed = active_speeds(problem);
  const std::vector<RankId> active = active_ranks(problem);
  for (const LayerId layer : loads.row_ids()) {
    for (std::size_t i = 0; i < speed.size(); ++i) loads(layer, active[i]) /= speed[i];
  }
  return loads;
}

bool LayerProblem::can_keep() const {
  if (held.empty()) return false;
  std::vector<bool> seen(experts(), false);
  for (const auto& rank : held) {
    if (rank.size() != slots_per_rank) return false;
    for (const ExpertId expert : rank) {
      if (expert.is_none()) return false;
      seen[expert.index()] = true;
    }
  }
  return std::find(seen.begin(), seen.end(), false) == seen.end() &&
         (survive.losses == 0 || survives(exposure(), kept_slots()));
}

bool LayerProblem::even_nodes() const {
  if (ranks() % nodes != 0) return false;
  for (std::size_t rank = 0; rank < ranks(); ++rank) {
    if (node_of[rank] != rank / (ranks() / nodes)) return false;
  }
  return true;
}

std::vector<ExpertId> LayerProblem::kept_slots() const {
  std::vector<ExpertId> kept;
  kept.reserve(slots());
  for (const auto& rank : held) kept.insert(kept.end(), rank.begin(), rank.end());
  MOESHIFT_CHECK(kept.size() == slots());
  return kept;
}

std::vector<LayerProblem> layers_of(const PlanProblem& problem, const Progress* progress) {
  check_shape(problem);
  check_groups(problem);
  check_old(problem);
  const std::vector<RankId> active = active_ranks(problem);
  std::vector<std::uint32_t> node_of;
  std::uint32_t nodes = 0;
  for (std::size_t i = 0; i < active.size(); ++i) {
    const bool first_of_node =
        i > 0 && problem.topology.node_of(active[i]) != problem.topology.node_of(active[i - 1]);
    nodes += first_of_node ? 1U : 0U;
    node_of.push_back(nodes);
  }
  const std::vector<double> speed = active_speeds(problem);
  std::vector<LayerProblem> layers;
  for (const LayerId id : problem.load.row_ids()) {
    LayerProblem layer;
    layer.load = problem.load.row(id);
    for (const LoadMatrix& sample : problem.samples) layer.samples.push_back(sample.row(id));
    layer.node_of = node_of;
    layer.speed = speed;
    layer.nodes = nodes + 1;
    layer.slots_per_rank = problem.slots_per_rank();
    layer.expert_groups = problem.expert_groups;
    layer.evidence = problem.evidence.value_or(whole_numbers(layer.load) ? 1 : 0);
    layer.layer = id;
    layer.seed = problem.seed;
    layer.survive = problem.survive;
    layer.progress = progress;
    if (problem.old != nullptr) {
      for (const RankId rank : active) {
        const bool known = rank.index() < problem.old->ranks();
        layer.held.push_back(
            known ? without_empty_end(problem.old->rank_slots(id, rank), problem.slots_per_rank())
                  : std::span<const ExpertId>());
      }
    }
    layers.push_back(std::move(layer));
  }
  check_survivable(layers.front().exposure());
  return layers;
}

void check_distinct_feasible(const LayerProblem& problem) {
  if (problem.slots_per_rank <= problem.experts()) return;
  throw InfeasibleError(
      fmt::format("{} slots per rank but only {} experts: some rank would hold two replicas of one",
                  problem.slots_per_rank, problem.experts()));
}

double peak_of(const LayerProblem& problem, std::span<const ExpertId> slots) {
  std::vector<std::uint32_t> counts(problem.experts(), 0);
  for (const ExpertId expert : slots) ++counts[expert.index()];
  std::vector<double> ranks(problem.ranks(), 0);
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    const std::size_t e = slots[slot].index();
    ranks[slot / problem.slots_per_rank] += problem.load[e] / counts[e];
  }
  for (std::size_t rank = 0; rank < problem.speed.size(); ++rank)
    ranks[rank] /= problem.speed[rank];
  return *std::max_element(ranks.begin(), ranks.end());
}

double bound_on_times(std::span<const double> speed, double mean, double bound_on_tokens) {
  if (speed.empty()) return bound_on_tokens;
  constexpr double kSafety = 1 - 1e-12;
  const double fastest = *std::max_element(speed.begin(), speed.end());
  return std::max(bound_on_tokens / fastest, mean) * kSafety;
}

std::vector<double> positive_load(std::span<const double> load) {
  const double total = std::accumulate(load.begin(), load.end(), 0.0);
  if (total <= 0) return std::vector<double>(load.size(), 1.0);
  std::vector<double> positive(load.begin(), load.end());
  for (double& tokens : positive) tokens += 1e-9 * total / static_cast<double>(load.size());
  return positive;
}

}  // namespace moeshift
