// SPDX-License-Identifier: Apache-2.0
// From the times of whole rearrangements to the figures of the cost model that predict them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// A rearrangement that the engine has carried out.
struct EngineSample {
  const TransferPlan* plan = nullptr;
  CostOptions options;  ///< buffers and mode it was done with
  Seconds total;        ///< from the common start to the last commit, first contact left out
};

/// The same model's answer, first contact left out.
[[nodiscard]] Seconds predicted_total(const EngineSample& sample, const Topology& topology,
                                      const Cluster& cluster);

/// One figure of the machine that the samples could tell.
struct EngineTerm {
  std::string name;  ///< key of the machine file
  double before = 0;
  double after = 0;
  /// How much worse the samples are explained with `before` in its place, as a share.
  double worth = 0;
};

struct EngineFit {
  Cluster cluster;  ///< the start with the terms that were told
  std::vector<EngineTerm> terms;
  std::vector<double> relative_errors;  ///< predicted / measured - 1, as the samples
};

/// Adjusts launch and how much of it is issued ahead, vote, commit, copies, rates and overlap so
/// that whole rearrangements are predicted: coordinate descent over their logarithms on the sum of
/// Huber losses of the log ratio of predicted and measured totals, with a slight pull towards the
/// start. What no sample depends on stays as it was.
///
/// What ranks of a node share (node_fabric, node_copy) is taken up only if it lowers the loss by a
/// fifth; else these are absent from the result.
/// @param start.engine is set: transport, ranks, pack_below.
/// Complexity: O(terms * steps) pricings of every sample.
[[nodiscard]] EngineFit fit_engine(const Cluster& start, const Topology& topology,
                                   std::span<const EngineSample> samples);

}  // namespace moeshift
