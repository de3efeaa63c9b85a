// SPDX-License-Identifier: Apache-2.0
// Plans of ours held as they are: a change of a policy has to change this file, and say why.
#include <cstdint>
#include <cstdio>
#include <string>

#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

NoProgress quiet;

/// FNV-1a of all slots: any replica elsewhere changes it.
std::string hash_of(const Placement& placement) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    for (const ExpertId expert : placement.layer(layer)) {
      hash = (hash ^ expert.value()) * 1099511628211ULL;
    }
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

/// Where loads are a few tokens, `incremental` and `robust` take part of what they see for noise.
struct Pinned {
  const char* policy;
  const char* skewed;    ///< log-normal loads, from no placement or from EPLB's for other loads
  const char* tied;      ///< loads of 0 .. 3 tokens, most of them equal
  const char* in_pairs;  ///< two slots per rank
};

PlanProblem flat(const LoadMatrix& load, std::size_t ranks, std::size_t slots) {
  return {.load = load,
          .samples = {},
          .topology = Topology(ranks, 2),
          .slots = slots,
          .expert_groups = 4};
}

LoadMatrix tied_load(std::size_t layers, std::size_t experts) {
  LoadMatrix load(layers, experts);
  Rng rng(3);
  for (double& tokens : load.items()) tokens = rng.below(4);
  return load;
}

std::string planned(const Pinned& pinned, PlanProblem problem, const LoadMatrix& before) {
  PlanProblem first = problem;
  first.load = before;
  const Placement old = make_planner("deepseek")->plan(first, Threads{1}, quiet).placement;
  const std::string policy = pinned.policy;
  if (policy == "incremental" || policy == "robust") problem.old = &old;
  return hash_of(make_planner(policy)->plan(problem, Threads{2}, quiet).placement);
}

TEST_CASE("plans of our policies are the ones pinned here") {
  const Pinned all[] = {
      {"balanced", "18f0e365def80dab", "10d74554d2a781d8", "59416a8848c34abc"},
      {"incremental", "6a23b12f7e3557b6", "ff222fc71742bb6a", "f546261d5ed54b58"},
      {"robust", "eac659d51fceb45f", "d97b9c9af6783fab", "11e12230fd7b18a0"},
      {"hierarchical", "82b525518ffb03ba", "14b82abbf521af1f", "3c18e9389438336e"},
  };
  for (const Pinned& pinned : all) {
    INFO(pinned.policy);
    const LoadMatrix skewed = test::lognormal_load(3, 64, 0.8, 21);
    CHECK(planned(pinned, flat(skewed, 8, 72), test::lognormal_load(3, 64, 0.8, 22)) ==
          pinned.skewed);
    CHECK(planned(pinned, flat(tied_load(3, 32), 8, 40), test::lognormal_load(3, 32, 0.8, 23)) ==
          pinned.tied);
    CHECK(planned(pinned, flat(test::lognormal_load(3, 56, 0.8, 24), 32, 64),
                  test::lognormal_load(3, 56, 0.8, 25)) == pinned.in_pairs);
  }
}

}  // namespace
}  // namespace moeshift
