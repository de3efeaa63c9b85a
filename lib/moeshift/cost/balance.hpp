// SPDX-License-Identifier: Apache-2.0
// How evenly a placement spreads a load: one formula per metric, named as its owner names it.
#pragma once

#include <cstddef>
#include <span>

#include "moeshift/model/load.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift {

/// R[l,g]: tokens that rank g computes in layer l.
using RankLoads = IdMatrix<LayerId, RankId, double>;

/// The metrics of one set of rank loads. A layer without load counts in no
/// mean; without any load at all there is nothing to balance (1).
struct Balance {
  double balancedness = 1;       ///< mean over layers of mean_g R / max_g R (SGLang, ATOM)
  double balancedness_vllm = 1;  ///< sum_l mean_g R / sum_l max_g R (vLLM)
  double imbalance = 1;          ///< mean over layers of max_g R / mean_g R (LauzHack)
  double imbalance_trtllm = 0;   ///< mean over layers of (max - mean) / mean (TensorRT-LLM)
  double peak_load = 0;          ///< sum_l max_g R: tokens on the critical path
  double gap_mean = 0;           ///< mean over layers of max_g R / lower bound - 1
  double gap_max = 0;            ///< the worst layer of the same
};

/// Rank loads under even dispatch: every replica of an expert takes load / replicas.
/// @throws InputError when shapes disagree or an expert with load has no holder.
/// O(layers * (slots + experts)).
[[nodiscard]] RankLoads rank_loads(const LoadMatrix& load, const Placement& placement);

/// All metrics but the gaps, which stay 0.
/// @param serving how many of the ranks serve: those that hold nothing have no load, and no part in
/// a mean. >= 1.
[[nodiscard]] Balance balance_of(const RankLoads& loads, std::size_t serving);
/// All metrics; `lower_bounds` [layers] are bounds on max_g R, 0 for a layer without load.
[[nodiscard]] Balance balance_of(const RankLoads& loads, std::size_t serving,
                                 std::span<const double> lower_bounds);

/// peak / bound - 1, and 0 where the bound is 0 (a layer without load).
[[nodiscard]] double gap_of(double peak, double lower_bound);

}  // namespace moeshift
