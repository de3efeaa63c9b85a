// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/decision.hpp"

#include <algorithm>
#include <numeric>

namespace moeshift {
namespace {

Seconds felt(const LayerWork& layer, const ModeOptions& mode, double slowdown) {
  const bool beside = mode.kind == ModeKind::kAsync || mode.kind == ModeKind::kTrickle;
  return layer.vote + layer.commit + layer.stage * (beside ? slowdown : 1.0);
}

}  // namespace

Seconds Outlook::total() const {
  return std::accumulate(layer_seconds.begin(), layer_seconds.end(), Seconds());
}

Outlook outlook_of(const LoadMatrix& load, const std::vector<LayerDispatch>& dispatch,
                   const ServingModel& model) {
  Outlook outlook;
  double balancedness = 0;
  double busiest = 0;
  double mean = 0;
  for (const LayerId layer : load.row_ids()) {
    const LayerTime time = model.layer_time(load.row(layer), dispatch[layer.index()]);
    outlook.layer_seconds.push_back(time.total);
    if (time.busiest_tokens > 0) balancedness += time.mean_tokens / time.busiest_tokens;
    busiest += time.busiest_tokens;
    mean += time.mean_tokens;
  }
  const std::size_t loaded = loaded_layers(load);
  outlook.balancedness = loaded > 0 ? balancedness / static_cast<double>(loaded) : 1;
  outlook.imbalance = mean > 0 ? busiest / mean : 1;
  return outlook;
}

RearrangementWork worthwhile(RearrangementWork work, const Outlook& now, const Outlook& then,
                             const ModeOptions& mode, const DecisionRule& rule, double slowdown) {
  if (!rule.min_gain_over_cost) return work;
  const auto horizon = static_cast<double>(rule.horizon.value_or(rule.interval));
  const auto pays = [&](const LayerWork& layer) {
    const std::size_t index = layer.layer.index();
    const Seconds gain = (now.layer_seconds[index] - then.layer_seconds[index]) * horizon;
    return gain > Seconds() && gain >= felt(layer, mode, slowdown) * *rule.min_gain_over_cost;
  };
  std::erase_if(work.layers, [&](const LayerWork& layer) { return !pays(layer); });
  return work;
}

}  // namespace moeshift
