// SPDX-License-Identifier: Apache-2.0
// Numbers that were chosen by trial on recordings and synthetic traffic, and follow from nothing
// else. All of them stand here; `plan_quality tuned` tries each again at half and at twice its
// value.
#pragma once

#include <cstddef>

namespace moeshift::tuned {

/// `robust`: imbalance (max / mean) that one intra-node transfer must buy.
inline constexpr double kRobustPrice = 5e-4;
/// `robust`: of a layer's slots, the share below which transfers cost less, rising evenly from 0:
/// the first few buy most, and one price for all kept settled layers from them.
inline constexpr double kSettledShare = 0.05;
/// `robust`: of the price, what a layer pays that is planned afresh.
inline constexpr double kRebuildShare = 0.1;
/// `robust`, `incremental`: relative error that loads are taken to have beside what windows show.
inline constexpr double kRobustDoubt = 0.25;
inline constexpr double kIncrementalDoubt = 0.4;

/// Fresh plans with the usual effort: annealing steps for two slots per rank; kicks where small
/// ones leave a gap; and how many of these in vain are enough.
inline constexpr std::size_t kPairIterations = 1150;
inline constexpr std::size_t kLargeKicks = 576;
inline constexpr std::size_t kPatience = 576;

}  // namespace moeshift::tuned
