// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/execution.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace moeshift::cli {

std::optional<Failure> Execution::failure() const {
  for (const RankOutcome& rank : ranks) {
    if (rank.failure) return rank.failure;
  }
  return std::nullopt;
}

std::uint64_t Execution::mismatched_bytes() const {
  std::uint64_t bytes = 0;
  for (const RankOutcome& rank : ranks) {
    for (const SlotFault& fault : rank.faults) bytes += fault.wrong_bytes;
  }
  return bytes;
}

bool Execution::verified() const {
  const auto all_right = [](const RankOutcome& rank) {
    return !rank.failure && rank.faults.empty() &&
           std::ranges::all_of(rank.layers, [](const LayerOutcome& layer) {
             return layer.phase == Phase::kVerified;
           });
  };
  return !ranks.empty() && std::ranges::all_of(ranks, all_right);
}

Seconds Execution::longest(Seconds RankTimes::* time) const {
  Seconds longest{0.0};
  for (const RankOutcome& rank : ranks) longest = std::max(longest, rank.times.*time);
  return longest;
}

LayerFigures figures_of(const Execution& execution, std::size_t layer) {
  LayerFigures figures;
  figures.epoch_low = execution.ranks.empty() ? 0 : ~0U;
  for (const RankOutcome& rank : execution.ranks) {
    const LayerOutcome& outcome = rank.layers[layer];
    figures.phase = std::min(figures.phase, outcome.phase);
    figures.epoch_low = std::min(figures.epoch_low, outcome.epoch);
    figures.epoch_high = std::max(figures.epoch_high, outcome.epoch);
    figures.vote = std::max(figures.vote, outcome.vote);
    figures.stage_device = std::max(figures.stage_device, outcome.stage_device);
    figures.commit_device = std::max(figures.commit_device, outcome.commit_device);
  }
  const LayerPhases& phases = execution.phases[layer];
  figures.stage = phases.stage;
  figures.commit = phases.commit;
  return figures;
}

Bytes payload(const TransferTotals& totals) {
  Bytes bytes;
  for (const Bytes link : totals.bytes_by_link) bytes += link;
  return bytes;
}

Seconds layer_sum(const Execution& execution, Seconds LayerFigures::* time) {
  Seconds sum{0.0};
  for (std::size_t i = 0; i < execution.job->plan->layers.size(); ++i) {
    sum += figures_of(execution, i).*time;
  }
  return sum;
}

Seconds percentile(std::vector<Seconds> times, double share) {
  if (times.empty()) return Seconds(0.0);
  std::ranges::sort(times);
  const auto index = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1) + 0.5);
  return times[index];
}

std::vector<Seconds> steps_of(const Execution& execution,
                              std::vector<Seconds> RankOutcome::* which) {
  std::vector<Seconds> steps;
  for (const RankOutcome& rank : execution.ranks) {
    steps.insert(steps.end(), (rank.*which).begin(), (rank.*which).end());
  }
  return steps;
}

std::vector<Seconds> repetitions_of(const Execution& execution) {
  std::vector<Seconds> totals;
  for (const RankOutcome& rank : execution.ranks) {
    totals.resize(std::max(totals.size(), rank.totals.size()), Seconds(0.0));
    for (std::size_t i = 0; i < rank.totals.size(); ++i) {
      totals[i] = std::max(totals[i], rank.totals[i]);
    }
  }
  return totals;
}

Moved moved(const TransferPlan& plan) {
  Moved moved;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    for (const Wave& wave : plan.layers[i].waves) {
      for (const Transfer& t : wave.transfers) moved.sent += plan.size_of(i, t.expert);
      for (const auto* copies : {&wave.stage_copies, &wave.commit_copies}) {
        for (const LocalCopy& copy : *copies) moved.written += plan.size_of(i, copy.expert);
      }
    }
  }
  moved.written += moved.sent;
  return moved;
}

std::optional<BaselineTimes> baseline_of(const Execution& execution) {
  return execution.ranks.empty() ? std::nullopt : execution.ranks.front().baseline;
}

double best_of(const BaselineTimes& baseline, std::size_t ranks) {
  const Seconds best = std::min(baseline.ring, baseline.all_to_all);
  const Bytes all = baseline.bytes * static_cast<std::int64_t>(ranks);
  return best.count() > 0 ? (all / best).count() : 0.0;
}

double copying_rate(const BaselineTimes& baseline, std::size_t ranks) {
  const Bytes all = baseline.copied * static_cast<std::int64_t>(ranks);
  return baseline.copy.count() > 0 ? (all / baseline.copy).count() : 0.0;
}

std::vector<std::string> fault_lines(const Execution& execution, std::size_t most) {
  std::vector<std::string> lines;
  std::size_t all = 0;
  for (const RankOutcome& rank : execution.ranks) {
    for (const SlotFault& fault : rank.faults) {
      if (++all > most) continue;
      lines.push_back(fmt::format(
          "layer {}, rank {}, slot {} (expert {}): {} wrong bytes, the first at offset {}",
          fault.layer.value(), fault.rank.value(), fault.slot, fault.expert.value(),
          fault.wrong_bytes, fault.first_offset));
    }
  }
  if (all > most) lines.push_back(fmt::format("and {} more slots", all - most));
  return lines;
}

std::string survey_line(const Execution& execution) {
  std::size_t slots = 0;
  std::size_t fresh = 0;
  std::size_t mixed = 0;
  const std::size_t layers = execution.job->plan->layers.size();
  for (const RankOutcome& rank : execution.ranks) slots += rank.slots_verified;
  for (std::size_t i = 0; i < layers; ++i) {
    const LayerFigures figures = figures_of(execution, i);
    fresh += figures.epoch_low == 1;
    mixed += figures.epoch_low != figures.epoch_high;
  }
  const std::string who = execution.ranks.size() == 1
                              ? fmt::format("rank {}", execution.ranks[0].rank.value())
                              : fmt::format("{} ranks", execution.ranks.size());
  const std::string state =
      fmt::format("{}: {} layers new, {} old{}", who, fresh, layers - fresh - mixed,
                  mixed > 0 ? fmt::format(", {} new on some ranks only", mixed) : "");
  if (slots == 0) return state + "; nothing had been touched";
  const std::uint64_t wrong = execution.mismatched_bytes();
  return state + fmt::format("; {} slots checked, {}", slots,
                             wrong == 0 ? "every byte as it should be"
                                        : fmt::format("{} WRONG bytes", wrong));
}

}  // namespace moeshift::cli
