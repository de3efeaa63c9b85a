// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/network.hpp"

#include <algorithm>
#include <numeric>

namespace moeshift {
namespace {

constexpr auto kInterNode = static_cast<std::size_t>(LinkClass::kInterNode);
constexpr auto kInterRack = static_cast<std::size_t>(LinkClass::kInterRack);

ReplicaChoice choice_of(DispatchRule rule) {
  return rule == DispatchRule::kNearest ? ReplicaChoice::kNearest : ReplicaChoice::kEven;
}

std::size_t most_slots_of_node(const Placement& placement, const Topology& topology) {
  std::vector<std::size_t> ranks(topology.nodes(), 0);
  for (const RankId rank : all_ids<RankId>(topology.ranks()))
    ++ranks[topology.node_of(rank).index()];
  return *std::max_element(ranks.begin(), ranks.end()) * placement.slots_per_rank();
}

void add_bounds(const Placement& placement, const Topology& topology,
                const NetworkQuestion& question, LayerId layer, LayerNetwork& network) {
  const LayerTogether& together = question.dispatch.routes->layers[layer.index()];
  network.least = copies_lower_bound(
      together, question.top_k, {topology.ranks(), placement.slots_per_rank(), placement.slots()});
  network.least_nodes = copies_lower_bound(
      together, question.top_k,
      {topology.nodes(), most_slots_of_node(placement, topology), placement.slots()});
  // Pairs of the whole recording bound what is counted on a sample of it but for the draw.
  network.least = std::min(network.least, network.copies.by_rank);
  network.least_nodes = std::min(network.least_nodes, network.copies.by_node);
}

void price(const NetworkQuestion& question, std::span<const double> step,
           const LayerDispatch& shares, LayerNetwork& network) {
  const ServingModel& serving = *question.serving;
  const ServingParameters& machine = serving.parameters();
  std::array<double, kLinkClasses> copies = network.copies.by_link();
  const double between = copies[kInterNode] + copies[kInterRack];
  if (machine.once_per_node && between > 0) {
    const double once = network.copies.crossing() / between;
    copies[kInterNode] *= once;
    copies[kInterRack] *= once;
  }
  for (std::size_t link = 1; link < kLinkClasses; ++link) {
    network.dispatch_bytes[link] = copies[link] * network.tokens * machine.dispatch_bytes;
    network.combine_bytes[link] = copies[link] * network.tokens * machine.combine_bytes;
  }
  network.time = serving.layer_time(step, shares);
}

LayerNetwork layer_network(const LoadMatrix& load, const Placement& placement,
                           const Topology& topology, const NetworkQuestion& question,
                           LayerId layer) {
  LayerNetwork network;
  const double total = layer_total(load, layer);
  if (total <= 0) return network;
  const DispatchOptions& rule = question.dispatch;
  const bool known = rule.routes != nullptr && rule.routes->layers[layer.index()].tokens > 0;
  network.copies =
      known ? copies_under(placement, layer, topology, rule)
            : independent_copies(load.row(layer), question.top_k, question.limit, placement, layer,
                                 topology, choice_of(rule.rule), rule.silent);
  if (known) add_bounds(placement, topology, question, layer, network);
  const auto top_k = static_cast<double>(question.top_k);
  network.tokens =
      question.tokens_per_step > 0 ? question.tokens_per_step : total / top_k / question.steps;
  if (question.serving == nullptr) return network;
  std::vector<double> step(load.row(layer).begin(), load.row(layer).end());
  for (double& pairs : step) pairs *= network.tokens * top_k / total;
  const LayerDispatch shares =
      known ? dispatch_shares(placement, layer, topology, rule, step, network.copies)
            : dispatch_shares(placement, layer, topology, rule, step);
  price(question, step, shares, network);
  return network;
}

}  // namespace

double NetworkFigures::network_share() const {
  const Seconds all = compute + dispatch + combine;
  return all > Seconds() ? ratio(dispatch + combine, all) : 0;
}

NetworkFigures network_figures(const LoadMatrix& load, const Placement& placement,
                               const Topology& topology, const NetworkQuestion& question,
                               Threads threads) {
  NetworkFigures figures;
  figures.layers.resize(load.rows());
  parallel_for(load.rows(), threads, [&](std::size_t l) {
    figures.layers[l] = layer_network(load, placement, topology, question, LayerId(l));
  });
  const auto loaded = static_cast<double>(std::max<std::size_t>(1, loaded_layers(load)));
  figures.from = CopiesFrom::kTokens;
  bool bounded = true;
  for (const LayerNetwork& layer : figures.layers) {
    if (layer.tokens <= 0) continue;
    figures.from = std::max(figures.from, layer.copies.from);
    bounded = bounded && layer.least > 0;
    figures.copies += layer.copies.by_rank / loaded;
    figures.node_copies += layer.copies.by_node / loaded;
    figures.least += layer.least / loaded;
    figures.least_nodes += layer.least_nodes / loaded;
    for (std::size_t link = 0; link < kLinkClasses; ++link) {
      figures.dispatch_bytes[link] += layer.dispatch_bytes[link];
      figures.combine_bytes[link] += layer.combine_bytes[link];
    }
    figures.compute += layer.time.compute;
    figures.dispatch += layer.time.dispatch;
    figures.combine += layer.time.combine;
    figures.total += layer.time.total;
  }
  if (!bounded) figures.least = figures.least_nodes = 0;
  return figures;
}

}  // namespace moeshift
