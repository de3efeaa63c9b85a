// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/together/together_layer.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "moeshift/plan/relabel.hpp"
#include "moeshift/plan/survive.hpp"

namespace moeshift {
namespace {

/// Imbalance that is tried where seconds decide how much.
constexpr std::array kLadder = {0.002, 0.01, 0.03};
/// Random exchanges of a search on a layer of 256 slots; smaller ones take as many more as they are
/// smaller, up to kMostTries.
constexpr std::size_t kTries = 2500;
constexpr std::size_t kMostTries = 30000;
/// Slots up to which all exchanges are gone through at the end: 12 passes of so many take a
/// millisecond.
constexpr std::size_t kSmall = 128;
constexpr double kTiny = 1e-12;
constexpr double kMinorClass = 0.1;  ///< weight of the class of link that is not the slowest

std::vector<ExpertId> experts_of(const std::vector<std::uint32_t>& slots, std::size_t experts) {
  std::vector<ExpertId> ids;
  ids.reserve(slots.size());
  for (const std::uint32_t e : slots) ids.push_back(e == experts ? ExpertId::none() : ExpertId(e));
  return ids;
}

std::vector<std::uint32_t> numbers_of(std::span<const ExpertId> slots, std::size_t experts) {
  std::vector<std::uint32_t> numbers;
  for (const ExpertId e : slots) {
    numbers.push_back(e.is_none() ? static_cast<std::uint32_t>(experts) : e.value());
  }
  return numbers;
}

/// What a pair that meets is worth on a rank and in a node, and 1 of imbalance in the same unit.
struct Worth {
  double rank = 1, node = 0, imbalance = 1;
};

/// Seconds where they are priced: the slower class of link decides, the other counts a little.
Worth worth_of(const TogetherLayer& layer, const NetworkCost& start) {
  const bool nodes = layer.layer.nodes > 1;
  if (!layer.goal.serving || layer.goal.slack) return {1, nodes ? 1.0 : 0.0, start.ranks};
  const ServingModel& model = *layer.goal.serving;
  const auto ranks = static_cast<double>(layer.layer.ranks());
  const auto node_count = static_cast<double>(layer.layer.nodes);
  const double pairs = layer.goal.pairs_per_step > 0 ? layer.goal.pairs_per_step : 1;
  const double tokens = pairs / static_cast<double>(layer.top_k);
  const double near = tokens / ranks * model.per_copy(LinkClass::kIntraNode).count();
  const double far = nodes ? tokens / ranks * model.per_copy(LinkClass::kInterNode).count() : 0;
  // A copy that stays in the node is one of node_count, one that leaves it of the others.
  const double time_near = near * start.ranks / node_count;
  const double time_far = far * start.nodes * (1 - 1 / node_count);
  Worth worth{near / node_count, far * (1 - 1 / node_count), 0};
  (time_near > time_far ? worth.node : worth.rank) *= kMinorClass;
  worth.imbalance = pairs / ranks * model.parameters().expert_per_token.count();
  return worth;
}

class LayerSearch {
 public:
  LayerSearch(const TogetherLayer& layer, const Worth& worth, std::span<const ExpertId> start)
      : layer_(layer), worth_(worth), start_(numbers_of(start, layer.layer.experts())) {
    const NetworkGoal& goal = layer.goal;
    if (goal.price_of_transfer || layer.most_arrivals) {
      prices_ = holding_prices(layer.layer, {1, goal.inter_node_price});
      price_ = goal.price_of_transfer.value_or(0) * worth.imbalance;
    }
  }

  /// Searches on `pairs`. @param score of the tokens that these were counted on.
  /// @return nothing when loads cannot be kept under what was allowed.
  [[nodiscard]] std::optional<std::vector<ExpertId>> run(const PairModel& pairs,
                                                         const LayerScore& score, double slack,
                                                         std::uint64_t stream) {
    PairSearch search(problem_of(pairs), start_);
    std::vector<double> caps;
    for (const double imbalance : search.imbalances()) {
      caps.push_back(std::max(1.0, imbalance) + slack);
    }
    Rng rng = Rng::stream(layer_.layer.seed, layer_.layer.layer.value() * 64 + stream);
    search.run(caps, effort(), rng);
    const bool visited = layer_.goal.dispatch.rule == DispatchRule::kVisited;
    auto slots = visited ? even_out(score, slack, search, rng) : fitting(search, caps);
    tried_ += search.tried();
    if (slots && layer_.layer.survive.losses > 0 && !survives(layer_.layer.exposure(), *slots)) {
      slots.reset();
    }
    return slots;
  }

  /// The same until no more has to arrive than may.
  [[nodiscard]] std::optional<std::vector<ExpertId>> run_within(const PairModel& pairs,
                                                                const LayerScore& score,
                                                                double slack,
                                                                std::uint64_t stream) {
    constexpr int kRaises = 4;
    const double asked = price_;
    std::optional<std::vector<ExpertId>> slots;
    for (int raise = 0; raise <= kRaises; ++raise) {
      slots = run(pairs, score, slack, stream);
      if (!layer_.most_arrivals || !slots) break;
      if (arrivals(layer_.layer, *slots) <= *layer_.most_arrivals) break;
      slots.reset();
      price_ = price_ > 0 ? price_ * 5 : 0.002 * worth_.imbalance;
    }
    price_ = asked;
    return slots;
  }

  /// From here on a search need only show whether there is a gain, not find all of it.
  void hurry() { hurried_ = true; }
  [[nodiscard]] std::uint64_t tried() const { return tried_; }

 private:
  [[nodiscard]] SearchEffort effort() const {
    const std::size_t slots = std::max<std::size_t>(1, start_.size());
    const std::size_t levels = layer_.goal.slack ? 1 : kLadder.size();  // of the same work together
    const std::size_t tries =
        hurried_ ? kTries * 256 / slots : kTries * 256 / slots * kLadder.size() / levels;
    return {.tries = std::clamp(tries, kTries / 2, hurried_ ? kMostTries / 4 : kMostTries),
            .passes = slots <= kSmall ? 12U : 0U};
  }

  [[nodiscard]] std::optional<std::vector<ExpertId>> fitting(const PairSearch& search,
                                                             std::span<const double> caps) const {
    if (!search.fits(caps)) return std::nullopt;
    return experts_of(search.slots(), layer_.layer.experts());
  }

  /// Where tokens prefer replicas on ranks they visit, ranks do not carry even shares: what they
  /// carry more or less is taken for theirs, loads are evened out again, and so on.
  [[nodiscard]] std::optional<std::vector<ExpertId>> even_out(const LayerScore& score, double slack,
                                                              PairSearch& search, Rng& rng) const {
    constexpr int kRounds = 6;
    constexpr double kGentle = 0.05;  // heat: what was found is kept for the most part
    const auto worst_of = [&](const std::vector<double>& loads) {
      double worst = 0;
      for (std::size_t rank = 0; rank < loads.size(); ++rank) {
        const double speed = layer_.layer.speed.empty() ? 1 : layer_.layer.speed[rank];
        worst = std::max(worst, loads[rank] / speed);
      }
      return worst;
    };
    const std::span<const double> load = layer_.layer.load;
    const std::vector<ExpertId> start = experts_of(start_, layer_.layer.experts());
    const double cap = std::max(1.0, worst_of(score.rank_loads(load, start))) + slack;
    std::vector<double> offsets(layer_.layer.ranks(), 0);
    std::vector<double> caps = search.imbalances();
    caps.front() = 1 + (cap - 1) / 2;  // the next measurement will not find what was aimed at
    for (int round = 0; round < kRounds; ++round) {
      std::vector<ExpertId> slots = experts_of(search.slots(), layer_.layer.experts());
      const std::vector<double> carried = score.rank_loads(load, slots);
      if (worst_of(carried) <= cap) return slots;
      for (std::size_t rank = 0; rank < offsets.size(); ++rank) {
        offsets[rank] += carried[rank] - search.loads()[rank];
      }
      search.offset(offsets);
      SearchEffort gentle = effort();
      gentle.tries /= 4;
      gentle.heat = kGentle;
      search.run(caps, gentle, rng);
    }
    return std::nullopt;
  }

  [[nodiscard]] PairSearchProblem problem_of(const PairModel& pairs) const {
    PairSearchProblem problem{.pairs = pairs,
                              .node_of = layer_.layer.node_of,
                              .slots_per_rank = layer_.layer.slots_per_rank,
                              .loads = {},
                              .speed = layer_.layer.speed,
                              .rank_weight = worth_.rank,
                              .node_weight = worth_.node,
                              .within_nodes = layer_.goal.within_nodes,
                              .prices = prices_,
                              .price = price_};
    problem.loads.emplace_back(layer_.balanced_load.begin(), layer_.balanced_load.end());
    if (!layer_.goal.each_window) return problem;
    for (const std::span<const double> sample : layer_.layer.samples) {
      problem.loads.emplace_back(sample.begin(), sample.end());
    }
    return problem;
  }

  const TogetherLayer& layer_;
  Worth worth_;
  std::vector<std::uint32_t> start_;
  std::vector<float> prices_;
  double price_ = 0;
  bool hurried_ = false;
  std::uint64_t tried_ = 0;
};

/// Costs on one half after planning on the other, over those of the policy's plan there.
struct HeldOut {
  double ratio = 0;  ///< of both ways together
  double worst = 0;
};

HeldOut held_out(const TogetherLayer& layer, LayerSearch& search, double slack,
                 std::span<const ExpertId> start) {
  const bool priced = layer.goal.serving.has_value() && !layer.goal.slack;
  double planned = 0;
  double plain = 0;
  HeldOut result;
  std::uint64_t stream = 32;
  for (const auto& [on, by] :
       {std::pair(layer.first, layer.second), std::pair(layer.second, layer.first)}) {
    const LayerScore planned_by(layer.problem, layer.goal, layer.top_k, *on, false);
    // Whether co-activation lasts is asked, and not whether loads of a half can be as even.
    const double loose = std::max(slack, 0.01);
    const auto slots = search.run_within(PairModel(*on), planned_by, loose, stream++);
    const LayerScore judge(layer.problem, layer.goal, layer.top_k, *by, false);
    std::vector<double> load;
    for (std::size_t e = 0; e < by->pairs.experts(); ++e) load.push_back(by->pairs(e, e));
    const double before = judge.of(load, start).value(priced);
    const double after = slots ? judge.of(load, *slots).value(priced) : before;
    plain += before;
    planned += after;
    result.worst = std::max(result.worst, before > 0 ? after / before : 1);
  }
  result.ratio = plain > 0 ? planned / plain : 1;
  return result;
}

/// Both ways gain, and a good part of what was gained on the windows that were planned on: by
/// chance alone some half gains a little.
bool persists(const HeldOut& seen, double gain_planned_on) {
  constexpr double kGoodPart = 0.25;
  return seen.worst < 1 && 1 - seen.ratio >= kGoodPart * gain_planned_on;
}

}  // namespace

TogetherAnswer plan_layer_together(const TogetherLayer& layer, std::span<const ExpertId> start) {
  const bool priced = layer.goal.serving.has_value() && !layer.goal.slack;
  TogetherAnswer answer;
  answer.slots.assign(start.begin(), start.end());
  const LayerScore exact(layer.problem, layer.goal, layer.top_k, *layer.all, true);
  const LayerScore quick(layer.problem, layer.goal, layer.top_k, *layer.all, false);
  const NetworkCost before = exact.of(layer.layer.load, start);
  NetworkVerdict& verdict = answer.verdict;
  verdict.copies_before = verdict.copies = before.ranks;
  verdict.node_copies_before = verdict.node_copies = before.nodes;
  verdict.seconds_before = verdict.seconds = before.seconds;
  LayerSearch search(layer, worth_of(layer, before), start);
  const PairModel pairs(*layer.all);
  std::optional<std::vector<ExpertId>> best;
  const double alone = quick.of(layer.layer.load, start).value(priced);
  double least = alone * (1 - kTiny);
  const auto offer = [&](double slack, std::uint64_t stream) {
    auto slots = search.run_within(pairs, quick, slack, stream);
    if (!slots) return;
    const double value = quick.of(layer.layer.load, *slots).value(priced);
    if (value >= least) return;
    least = value;
    best = std::move(slots);
    verdict.slack = slack;
  };
  if (layer.goal.slack) {
    offer(*layer.goal.slack, 0);
  } else {
    std::uint64_t stream = 0;
    for (const double slack : kLadder) offer(slack, stream++);
  }
  answer.tried = search.tried();
  if (!best) return answer;
  if (layer.goal.must_persist) {
    search.hurry();
    const HeldOut seen = layer.first != nullptr && layer.second != nullptr
                             ? held_out(layer, search, verdict.slack, start)
                             : HeldOut{1, 1};
    verdict.held_out = seen.ratio;
    answer.tried = search.tried();
    if (!persists(seen, 1 - least / alone)) return answer;
  }
  verdict.persisted = true;
  const Exchangeable scope =
      layer.layer.nodes > 1 ? Exchangeable::kWithinAndNodes : exchangeable_ranks(layer.layer);
  if (layer.layer.speed.empty())
    relabel(layer.layer, {1, layer.goal.inter_node_price}, scope, *best);
  const NetworkCost after = exact.of(layer.layer.load, *best);
  constexpr double kWorthIt = 1e-3;  // what is scored is a draw
  if (after.value(priced) >= before.value(priced) * (1 - kWorthIt)) return answer;
  verdict.copies = after.ranks;
  verdict.node_copies = after.nodes;
  verdict.seconds = after.seconds;
  answer.slots = std::move(*best);
  answer.changed = true;
  return answer;
}

}  // namespace moeshift
