// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/sweep_refusal.hpp"

#include <fmt/format.h>

#include "moeshift/report/table.hpp"

namespace moeshift::cli {

std::optional<std::string> shape_refusal(const SweepPoint& point, const MoeModel& model,
                                         std::size_t buffers, Bytes limit) {
  if (point.slots % point.ranks != 0) {
    return fmt::format("{} slots do not divide by {} ranks", point.slots, point.ranks);
  }
  if (point.slots < model.num_experts) {
    return fmt::format("{} slots cannot hold {} experts", point.slots, model.num_experts);
  }
  const Bytes needed = expert_memory(model, point, buffers);
  if (needed <= limit) return std::nullopt;
  return fmt::format("experts take {} per rank, {} are allowed", human(needed), human(limit));
}

}  // namespace moeshift::cli
