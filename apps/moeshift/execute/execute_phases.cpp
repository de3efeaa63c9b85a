// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/execute_phases.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace moeshift::cli {
namespace {

Seconds latest(std::span<const RankOutcome> ranks, std::size_t layer, Seconds LayerOutcome::* at) {
  Seconds last;
  for (const RankOutcome& rank : ranks) last = std::max(last, rank.layers[layer].*at);
  return last;
}

std::size_t transfers_of(const LayerMoves& layer) {
  std::size_t count = 0;
  for (const Wave& wave : layer.waves) count += wave.transfers.size();
  return count;
}

}  // namespace

std::vector<LayerPhases> phases_of(const TransferPlan& plan, std::span<const RankOutcome> ranks) {
  std::vector<LayerPhases> phases(plan.layers.size());
  Seconds staged;
  Seconds committed;
  for (const LayerBatch& batch : plan.batches) {
    std::size_t transfers = 0;
    Seconds staged_now;
    for (std::size_t i = batch.first; i < batch.first + batch.count; ++i) {
      transfers += transfers_of(plan.layers[i]);
      staged_now = std::max(staged_now, latest(ranks, i, &LayerOutcome::staged_at));
    }
    const Seconds stage = staged_now - std::max(staged, std::min(committed, staged_now));
    for (std::size_t i = batch.first; i < batch.first + batch.count; ++i) {
      const Seconds committed_now = latest(ranks, i, &LayerOutcome::committed_at);
      if (plan.layers[i].waves.empty() || committed_now.count() <= 0) continue;
      const double share = transfers == 0 ? 1 / static_cast<double>(batch.count)
                                          : static_cast<double>(transfers_of(plan.layers[i])) /
                                                static_cast<double>(transfers);
      phases[i].stage = std::max(stage, Seconds()) * share;
      phases[i].commit = std::max(committed_now - std::max(staged_now, committed), Seconds());
      committed = std::max(committed, committed_now);
    }
    staged = std::max(staged, staged_now);
  }
  return phases;
}

PredictionError prediction_error(const TransferPlan& plan, const std::vector<LayerPhases>& measured,
                                 const TransferCost& predicted, Seconds total, bool stages_apart) {
  std::vector<Seconds> stage[2];
  std::vector<Seconds> commit[2];
  for (std::size_t i = 0; stages_apart && i < plan.layers.size(); ++i) {
    const LayerCost& cost = predicted.layers[i];
    if (measured[i].stage.count() > 0 && cost.stage.count() > 0) {
      stage[0].push_back(cost.stage);
      stage[1].push_back(measured[i].stage);
    }
    if (measured[i].commit.count() > 0) {
      commit[0].push_back(cost.vote + cost.commit);
      commit[1].push_back(measured[i].commit);
    }
  }
  return {validation_of(stage[0], stage[1]), validation_of(commit[0], commit[1]),
          total.count() > 0 ? ratio(predicted.total, total) - 1 : 0};
}

nlohmann::ordered_json error_json(const PredictionError& error) {
  const auto part = [](const Validation& validation) {
    return nlohmann::ordered_json{{"median", validation.median_error},
                                  {"p95", validation.p95_error},
                                  {"layers", validation.relative_errors.size()}};
  };
  nlohmann::ordered_json json{{"total", error.total}};
  if (!error.commit.relative_errors.empty()) {
    json["stage"] = part(error.stage);
    json["commit"] = part(error.commit);
  }
  return json;
}

std::string error_line(const PredictionError& error) {
  if (error.commit.relative_errors.empty()) {
    return fmt::format("prediction off by {:+.0f} % in total; --lockstep compares stage by stage",
                       100 * error.total);
  }
  return fmt::format(
      "prediction off by {:.0f} % (median over layers; 95th percentile {:.0f} %) in staging, "
      "{:.0f} % "
      "({:.0f} %) in vote and commit, {:+.0f} % in total",
      100 * error.stage.median_error, 100 * error.stage.p95_error, 100 * error.commit.median_error,
      100 * error.commit.p95_error, 100 * error.total);
}

}  // namespace moeshift::cli
