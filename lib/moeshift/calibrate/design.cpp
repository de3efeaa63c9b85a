// SPDX-License-Identifier: Apache-2.0
#include "moeshift/calibrate/design.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "moeshift/core/rng.hpp"
#include "moeshift/schedule/scheduler.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kHeldOut = 50;
constexpr double kSmallest = 16384;  // bytes of an expert of a random plan
constexpr Bytes kSmallestCopy{4096};
constexpr Bytes kLargeCopy{std::int64_t{1} << 20};
constexpr std::int64_t kSlotMultiple = 16;  // as execute lays out slots
constexpr double kTogether = 0.8;  // copies on all ranks at once this much slower share something

/// Rounded down to what slots are multiples of: devices copy odd sizes another way, and no expert
/// has one.
Bytes slot_of(double bytes) {
  return Bytes(static_cast<std::int64_t>(bytes) / kSlotMultiple * kSlotMultiple);
}

/// Random rearrangements, some small and some of everything, of experts of any size. Only what goes
/// from rank to rank counts: copies are measured on their own.
std::vector<TransferPlan> random_plans(const Topology& topology, Bytes largest,
                                       std::uint64_t seed) {
  const std::size_t ranks = topology.ranks();
  Rng rng(seed);
  std::vector<TransferPlan> plans;
  while (plans.size() < kHeldOut) {
    const std::size_t slots = ranks * (2 + rng.below(6));
    IdMatrix<LayerId, SlotId, ExpertId> before(1, slots);
    for (const SlotId slot : before.column_ids()) before(LayerId(0), slot) = ExpertId(slot.index());
    auto after = before;
    const std::uint32_t swaps = 1 + rng.below(static_cast<std::uint32_t>(slots));
    for (std::uint32_t i = 0; i < swaps; ++i) {
      const SlotId a(rng.below(static_cast<std::uint32_t>(slots)));
      const SlotId b(rng.below(static_cast<std::uint32_t>(slots)));
      std::swap(after(LayerId(0), a), after(LayerId(0), b));
    }
    const double span = std::log(static_cast<double>(largest.count()) / kSmallest);
    const Bytes expert = slot_of(kSmallest * std::exp(span * rng.uniform()));
    TransferPlan plan =
        make_transfer_plan(Placement(slots, ranks, std::move(before)),
                           Placement(slots, ranks, std::move(after)), topology, expert);
    if (totals_of(plan).transfers == 0) continue;
    Wave& wave = plan.layers[0].waves[0];
    wave.stage_copies.clear();
    wave.commit_copies.clear();
    plans.push_back(std::move(plan));
  }
  return plans;
}

/// The messages of the plan's only group, packed per pair.
ExchangeSample exchange_of(const TransferPlan& plan) {
  std::map<std::pair<RankId, RankId>, std::int64_t> experts;
  for (const Transfer& t : plan.layers[0].waves[0].transfers) ++experts[{t.source, t.destination}];
  ExchangeSample sample;
  sample.pattern = "random plan";
  for (const auto& [pair, count] : experts) {
    sample.messages.push_back({pair.first, pair.second, plan.sizes.largest() * count});
  }
  return sample;
}

double at_share(const std::vector<double>& sorted, std::size_t percent) {
  return sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
}

/// From near to far: both begin with the launch of the nearest.
void set_links(Cluster& cluster, const std::vector<LinkCalibration>& links) {
  const Seconds launch = links.front().fit.launch;
  cluster.fixed.launch = launch;
  cluster.node_fabric.reset();
  cluster.node_fabric_per_message = Seconds();
  for (const LinkCalibration& link : links) {
    const bool inside = link.link == LinkClass::kIntraNode;
    LinkParameters& target = inside ? cluster.intra_node : cluster.inter_node;
    target = link.fit.link;
    target.latency = std::max(link.fit.launch - launch, Seconds());
    if (link.fit.wires) target.node_egress = target.node_ingress = link.fit.wires;
    if (!link.fit.fabric) continue;
    if (cluster.node_fabric && *cluster.node_fabric < *link.fit.fabric) continue;
    cluster.node_fabric = link.fit.fabric;
    cluster.node_fabric_per_message = link.fit.fabric_per_message;
  }
}

}  // namespace

CalibrationDesign design_calibration(const Topology& topology, Bytes largest, std::uint64_t seed) {
  CalibrationDesign design;
  design.topology = topology;
  const std::size_t inside = topology.ranks_of(NodeId(0)).size();
  if (inside > 1) {
    design.links.push_back({LinkClass::kIntraNode, designed_exchanges(inside, largest)});
  }
  if (topology.nodes() > 1) {
    design.links.push_back({LinkClass::kInterNode, designed_crossings(topology, largest)});
  }
  for (Bytes bytes = kSmallestCopy; bytes <= largest; bytes = bytes * 4) {
    design.copies.push_back({bytes, {}});
  }
  design.plans = random_plans(topology, largest, seed);
  for (const TransferPlan& plan : design.plans) design.held_out.push_back(exchange_of(plan));
  return design;
}

void fit_links(CalibrationDesign& design) {
  for (LinkCalibration& link : design.links) {
    link.fit = link.link == LinkClass::kIntraNode
                   ? fit_link(link.samples, design.topology.ranks_of(NodeId(0)).size())
                   : fit_crossings(link.samples, design.topology);
  }
}

CopyCalibration fit_copies_together(const CalibrationDesign& design,
                                    const std::vector<std::vector<Seconds>>& times) {
  std::vector<CopySample> samples;
  for (std::size_t i = 0; i < design.copies.size(); ++i) {
    if (design.copies[i].bytes < kLargeCopy && i + 1 < design.copies.size()) continue;
    samples.push_back({design.copies[i].bytes, times.at(i)});
  }
  return fit_copy(samples);
}

Cluster calibrated_cluster(Cluster base, const CalibrationDesign& design,
                           const MeasuredMachine& machine) {
  Cluster cluster = std::move(base);
  const Topology& topology = design.topology;
  const std::size_t inside = topology.ranks_of(NodeId(0)).size();
  set_links(cluster, design.links);
  cluster.ranks_per_node =
      topology.nodes() > 1 ? inside : std::max(cluster.ranks_per_node, topology.ranks());
  cluster.local_copy = machine.copies.rate;
  cluster.local_copy_latency = machine.copies.latency;
  cluster.node_copy.reset();
  if (machine.together.rate < machine.copies.rate * kTogether) {
    cluster.node_copy = machine.together.rate * static_cast<double>(inside);
  }
  cluster.fixed.connection = machine.connection;
  cluster.fixed.vote = machine.vote;
  return cluster;
}

Validation validation_of(const std::vector<Seconds>& predicted,
                         const std::vector<Seconds>& measured) {
  Validation validation;
  std::vector<double> sizes;
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    validation.relative_errors.push_back(ratio(predicted[i], measured[i]) - 1);
    sizes.push_back(std::abs(validation.relative_errors.back()));
  }
  if (sizes.empty()) return validation;
  std::sort(sizes.begin(), sizes.end());
  validation.median_error = at_share(sizes, 50);
  validation.p95_error = at_share(sizes, 95);
  return validation;
}

}  // namespace moeshift
