// SPDX-License-Identifier: Apache-2.0
#include "moeshift/calibrate/design.hpp"

#include <algorithm>
#include <utility>

namespace moeshift {
namespace {

constexpr Bytes kSmallestCopy{4096};
constexpr Bytes kLargeCopy{std::int64_t{1} << 20};
constexpr double kTogether = 0.8;  // copies on all ranks at once this much slower share something

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

CalibrationDesign design_calibration(const Topology& topology, Bytes largest) {
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
