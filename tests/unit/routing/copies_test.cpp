// SPDX-License-Identifier: Apache-2.0
#include "moeshift/routing/copies.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "moeshift/core/error.hpp"
#include "moeshift/cost/dispatch.hpp"
#include "moeshift/formats/routes_reader.hpp"
#include "moeshift/formats/trace_format.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/random_placement.hpp"
#include "tests/support/random_routes.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

const LayerId kFirst(0);

struct Instance {
  RoutesShape shape;
  Placement placement;
  Topology topology;
  RouteSample sample;
};

Instance random_instance(Rng& rng) {
  const std::size_t nodes = 1 + rng.below(2);
  const std::size_t ranks = nodes * (1 + rng.below(3));
  const std::size_t experts = 3 + rng.below(6);
  const std::size_t per_rank = (experts + ranks - 1) / ranks + rng.below(2);
  RoutesShape shape{.experts = experts, .top_k = 1 + rng.below(3), .tokens = 1 + rng.below(12)};
  if (rng.below(2) == 0) shape.ranks = ranks;
  Placement placement =
      random_placement({1, experts, ranks, per_rank}, rng, rng.below(2) == 0 ? 0.3 : 0);
  RouteSummary summary = summary_of({random_routes(shape, rng)});
  return {shape, std::move(placement), Topology(ranks, nodes),
          std::move(summary.windows[0].layers[0].sample)};
}

/// Calls `visit(ranks chosen by each expert of the token, probability)` for every way in which a
/// token from `source` may choose replicas.
void every_choice(const Instance& in, std::size_t token, std::size_t source, ReplicaChoice choice,
                  const std::function<void(const std::vector<std::size_t>&, double)>& visit) {
  const auto row = in.sample.row(token);
  std::vector<std::vector<std::size_t>> holders(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    for (std::size_t s = 0; s < in.placement.slots(); ++s) {
      if (in.placement(kFirst, SlotId(s)) == ExpertId(row[i])) {
        holders[i].push_back(s / in.placement.slots_per_rank());
      }
    }
    if (choice != ReplicaChoice::kNearest) continue;
    for (const LinkClass within : {LinkClass::kLocal, LinkClass::kIntraNode}) {
      std::vector<std::size_t> near;
      for (const std::size_t rank : holders[i]) {
        if (in.topology.link(RankId(source), RankId(rank)) == within) near.push_back(rank);
      }
      if (near.empty()) continue;
      holders[i] = near;
      break;
    }
  }
  std::vector<std::size_t> chosen(row.size());
  const std::function<void(std::size_t, double)> choose = [&](std::size_t i, double chance) {
    if (i == row.size()) return visit(chosen, chance);
    for (const std::size_t rank : holders[i]) {
      chosen[i] = rank;
      choose(i + 1, chance / static_cast<double>(holders[i].size()));
    }
  };
  choose(0, 1);
}

struct Brute {
  double ranks = 0, nodes = 0, crossing = 0, local = 0;
};

Brute brute_force(const Instance& in, ReplicaChoice choice) {
  Brute sum;
  double weight = 0;
  for (std::size_t t = 0; t < in.sample.size(); ++t) {
    for (std::size_t source = 0; source < in.topology.ranks(); ++source) {
      if (in.sample.source[t] != kUnknownSource && in.sample.source[t] != source) continue;
      ++weight;
      every_choice(in, t, source, choice, [&](const std::vector<std::size_t>& ranks, double p) {
        const std::set<std::size_t> distinct(ranks.begin(), ranks.end());
        std::set<std::size_t> nodes;
        for (const std::size_t r : distinct) nodes.insert(in.topology.node_of(RankId(r)).index());
        sum.ranks += p * static_cast<double>(distinct.size());
        sum.nodes += p * static_cast<double>(nodes.size());
        sum.local += p * static_cast<double>(distinct.count(source));
        const std::size_t home = in.topology.node_of(RankId(source)).index();
        sum.crossing += p * static_cast<double>(nodes.size() - nodes.count(home));
      });
    }
  }
  // Tokens without a source were tried from everywhere: all weigh alike.
  const double each = static_cast<double>(in.sample.size()) / weight;
  const double scale = each / static_cast<double>(in.sample.size());
  return {sum.ranks * scale, sum.nodes * scale, sum.crossing * scale, sum.local * scale};
}

/// The rule of ReplicaChoice::kVisitedFirst told again, token by token.
double visited_by_hand(const Instance& in) {
  double copies = 0;
  for (std::size_t t = 0; t < in.sample.size(); ++t) {
    std::map<std::pair<std::size_t, std::uint16_t>, std::vector<std::size_t>> by_replicas;
    for (const std::uint16_t e : in.sample.row(t)) {
      std::vector<std::size_t> holders;
      for (std::size_t s = 0; s < in.placement.slots(); ++s) {
        if (in.placement(kFirst, SlotId(s)) == ExpertId(e)) {
          holders.push_back(s / in.placement.slots_per_rank());
        }
      }
      by_replicas[{holders.size(), e}] = holders;
    }
    std::set<std::size_t> visited;
    for (const auto& [key, holders] : by_replicas) {
      std::vector<std::size_t> fit;
      for (const std::size_t r : holders) {
        if (visited.contains(r)) fit.push_back(r);
      }
      for (const std::size_t r : fit.empty() ? holders : std::vector<std::size_t>()) {
        const bool near = std::any_of(visited.begin(), visited.end(), [&](std::size_t v) {
          return in.topology.node_of(RankId(v)) == in.topology.node_of(RankId(r));
        });
        if (near) fit.push_back(r);
      }
      if (fit.empty()) fit = holders;
      visited.insert(fit[visited_choice(in.sample.token[t], key.second, fit.size())]);
    }
    copies += static_cast<double>(visited.size());
  }
  return copies / static_cast<double>(in.sample.size());
}

}  // namespace

TEST_CASE("exact scoring equals a brute-force count on 1,000 small instances") {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const Instance in = random_instance(rng);
    for (const ReplicaChoice choice : {ReplicaChoice::kEven, ReplicaChoice::kNearest}) {
      const LayerCopies copies =
          counted_copies(in.sample, in.placement, kFirst, in.topology, choice);
      const Brute brute = brute_force(in, choice);
      REQUIRE(copies.by_rank == Approx(brute.ranks));
      REQUIRE(copies.by_node == Approx(brute.nodes));
      REQUIRE(copies.crossing() == Approx(brute.crossing).margin(1e-12));
      REQUIRE(copies.by_link()[0] == Approx(brute.local).margin(1e-12));
    }
    const LayerCopies visited =
        counted_copies(in.sample, in.placement, kFirst, in.topology, ReplicaChoice::kVisitedFirst);
    REQUIRE(visited.by_rank == Approx(visited_by_hand(in)));
  }
}

TEST_CASE("no placement of a tiny layer needs fewer copies than the bound, whatever replicas do") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const std::size_t ranks = 2 + rng.below(2);
    const std::size_t per_rank = 2;
    const std::size_t slots = ranks * per_rank;
    const std::size_t experts = slots - rng.below(2);
    const std::size_t top_k = 2 + rng.below(2);
    RoutesShape shape{.experts = experts, .top_k = std::min(top_k, experts), .tokens = 12};
    shape.clique = rng.below(2) == 0 ? 2 : 0;
    const RouteSummary summary = summary_of({random_routes(shape, rng)});
    const LayerTogether& layer = summary.windows[0].layers[0];
    const double bound = copies_lower_bound(layer, shape.top_k, {ranks, per_rank, slots});
    std::vector<std::size_t> held(slots, 0);
    const std::function<void(std::size_t)> place = [&](std::size_t slot) {
      if (slot < slots) {
        for (held[slot] = 0; held[slot] < experts; ++held[slot]) place(slot + 1);
        return;
      }
      std::set<std::size_t> all(held.begin(), held.end());
      if (all.size() < experts) return;
      double best = 0;  // every token takes the fewest ranks that hold all of its experts
      for (std::size_t t = 0; t < layer.sample.size(); ++t) {
        std::size_t fewest = ranks;
        for (std::size_t set = 1; set < (std::size_t{1} << ranks); ++set) {
          const auto row = layer.sample.row(t);
          const bool covers = std::all_of(row.begin(), row.end(), [&](std::uint16_t e) {
            for (std::size_t s = 0; s < slots; ++s) {
              if (held[s] == e && (set >> (s / per_rank) & 1U) != 0) return true;
            }
            return false;
          });
          if (!covers) continue;
          std::size_t size = 0;
          for (std::size_t r = 0; r < ranks; ++r) size += set >> r & 1U;
          fewest = std::min(fewest, size);
        }
        best += static_cast<double>(fewest);
      }
      REQUIRE(bound <= best / static_cast<double>(layer.sample.size()) + 1e-9);
    };
    if (seed < 20 || slots == 4) place(0);
  }
}

TEST_CASE("cliques that fit a rank need one copy, and the bound says so") {
  Rng rng(3);
  RoutesShape shape{.experts = 16, .top_k = 4, .tokens = 4000, .clique = 4};
  const RouteSummary summary = summary_of({random_routes(shape, rng)});
  const LayerTogether& layer = summary.windows[0].layers[0];
  IdMatrix<LayerId, SlotId, ExpertId> apart(1, 16);
  IdMatrix<LayerId, SlotId, ExpertId> together(1, 16);
  for (std::size_t s = 0; s < 16; ++s) {
    apart(kFirst, SlotId(s)) = ExpertId(s);
    together(kFirst, SlotId(s)) = ExpertId(s % 4 * 4 + s / 4);
  }
  const Topology topology(4, 2);
  const auto copies = [&](const auto& slots) {
    return counted_copies(layer.sample, Placement(16, 4, slots), kFirst, topology,
                          ReplicaChoice::kEven);
  };
  REQUIRE(copies(together).by_rank == Approx(1));
  REQUIRE(copies(apart).by_rank == Approx(4));
  REQUIRE(copies_lower_bound(layer, 4, {4, 4, 16}) == Approx(1));
  const LayerCopies estimate = estimated_copies(layer, 4, Placement(16, 4, together), kFirst,
                                                topology, ReplicaChoice::kEven);
  REQUIRE(estimate.by_rank == Approx(1).epsilon(0.01));
}

TEST_CASE("independent choices are estimated exactly by pairs, and from loads within two") {
  Rng rng(5);
  RoutesShape shape{.experts = 64, .top_k = 6, .tokens = 20000};
  SummaryOptions all;
  all.sample_limit = shape.tokens;
  const RouteSummary summary = summary_of({random_routes(shape, rng)}, all);
  const LayerTogether& layer = summary.windows[0].layers[0];
  const Placement placement = random_placement({1, 64, 8, 8}, rng);
  const Topology topology(8, 2);
  const double counted =
      counted_copies(layer.sample, placement, kFirst, topology, ReplicaChoice::kEven).by_rank;
  REQUIRE(estimated_copies(layer, 6, placement, kFirst, topology, ReplicaChoice::kEven).by_rank ==
          Approx(counted).epsilon(0.003));
  const LoadMatrix load = loads_of(summary);
  const LayerCopies guess = independent_copies(load.row(kFirst), 6, {}, placement, kFirst, topology,
                                               ReplicaChoice::kEven);
  REQUIRE(guess.by_rank == Approx(counted).epsilon(0.02));
  REQUIRE(guess.from == CopiesFrom::kIndependence);
  // Half of the groups: what is left to choose from is in half of the places.
  const LayerCopies limited = independent_copies(load.row(kFirst), 6, {4, 2}, placement, kFirst,
                                                 topology, ReplicaChoice::kEven);
  REQUIRE(limited.by_rank <= guess.by_rank + 1e-9);
}

TEST_CASE("the chance of any follows from known laws and stays within what two moments allow") {
  REQUIRE(chance_of_any(1.5, 6 * 5 / 2.0 * 0.0625, 6) == Approx(1 - std::pow(0.75, 6)));
  REQUIRE(chance_of_any(0.5, 0.5 * 3 / 2, 4) == Approx(0.125).epsilon(0.01));  // four or none
  REQUIRE(chance_of_any(0, 0, 4) == 0);
  REQUIRE(chance_of_any(0.3, 0, 1) == Approx(0.3));
  REQUIRE(chance_of_any(1, 0, 4) == Approx(1).epsilon(0.05));  // never two: always one
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    const double mean = rng.uniform() * 4;
    const double pairs = rng.uniform() * mean * 1.5;
    const double chance = chance_of_any(mean, pairs, 4);
    REQUIRE(chance >= 0);
    REQUIRE(chance <= std::min(1.0, mean) + 1e-12);
  }
}

TEST_CASE("pair estimates are within 3 % of exact copies on recordings, whatever is held where") {
  for (const char* domain : {"law", "intent"}) {
    std::ifstream in(shared_path(std::string("traces/esft_routes/") + domain + ".npz"),
                     std::ios::binary);
    TraceReadOptions options;
    options.num_experts = 64;
    const auto reader = open_trace(in, domain, "auto", options);
    RouteSummary summary;
    summary.num_experts = 64;
    summary.top_k = 6;
    SummaryOptions all;
    all.sample_limit = 10000;
    RouteSummarizer summarizer(summary, reader->header().num_layers, all);
    Routes step;
    while (reader->routes()->next(step)) summarizer.add(step, Threads{1});
    const std::vector<LayerTogether> layers = [&] {
      RouteSummary whole = std::move(summarizer).take();
      return joined_windows(whole);
    }();
    Rng rng(1);
    for (const std::size_t ranks : {4U, 8U, 16U}) {
      double exact = 0;
      double estimate = 0;
      for (const LayerTogether& layer : layers) {
        const Placement placement = random_placement({1, 64, ranks, 80 / ranks}, rng);
        const Topology topology(ranks, 2);
        exact +=
            counted_copies(layer.sample, placement, kFirst, topology, ReplicaChoice::kEven).by_rank;
        estimate +=
            estimated_copies(layer, 6, placement, kFirst, topology, ReplicaChoice::kEven).by_rank;
      }
      INFO(domain << ", " << ranks << " ranks");
      REQUIRE(estimate == Approx(exact).epsilon(0.03));
    }
  }
}

TEST_CASE("shares under routes carry the copies that a rank is sent") {
  Rng rng(8);
  RoutesShape shape{.experts = 16, .top_k = 4, .tokens = 3000, .clique = 4};
  const RouteSummary summary = summary_of({random_routes(shape, rng)});
  const KnownRoutes known{4, joined_windows(summary)};
  IdMatrix<LayerId, SlotId, ExpertId> slots(1, 16);
  for (std::size_t s = 0; s < 16; ++s) slots(kFirst, SlotId(s)) = ExpertId(s % 4 * 4 + s / 4);
  DispatchOptions options;
  REQUIRE(dispatch_shares(Placement(16, 4, slots), kFirst, Topology(4, 2), options)[0].copies == 1);
  options.routes = &known;
  const auto shares = dispatch_shares(Placement(16, 4, slots), kFirst, Topology(4, 2), options);
  for (const SlotShare& share : shares) {
    REQUIRE(share.copies == Approx(0.25));
    REQUIRE(share.node_copies == Approx(0.25));
  }
  options.routes = nullptr;
  options.rule = DispatchRule::kVisited;
  REQUIRE_THROWS_AS(dispatch_shares(Placement(16, 4, slots), kFirst, Topology(4, 2), options),
                    InputError);
}
