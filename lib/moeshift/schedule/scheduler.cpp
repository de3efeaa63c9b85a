// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/scheduler.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/problem.hpp"
#include "moeshift/schedule/wave_builder.hpp"
#include "moeshift/schedule/waves.hpp"

namespace moeshift {
namespace {

using Buffers = IdVector<RankId, std::uint32_t>;

/// Buffers that the budget allows; nothing when there is none.
std::optional<std::uint32_t> buffer_budget(const ScheduleOptions& options, Bytes expert_bytes) {
  if (!options.staging_bytes || expert_bytes.count() == 0) return std::nullopt;
  const std::int64_t count = options.staging_bytes->count() / expert_bytes.count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 0, 1 << 20));
}

/// Schedules the layers of one problem, each on its own.
class LayerScheduler {
 public:
  LayerScheduler(const Problem& problem, const Topology& topology, const ScheduleOptions& options,
                 Bytes expert_bytes)
      : problem_(problem),
        topology_(topology),
        options_(options),
        budget_(buffer_budget(options, expert_bytes)),
        expert_bytes_(expert_bytes) {}

  /// The waves of a layer; `buffers` becomes the most that any of them needs per rank.
  std::vector<Wave> schedule(LayerId layer, Buffers& buffers) const {
    const LayerNeeds& needs = problem_.needs(layer);
    buffers.assign(topology_.ranks(), 0);
    if (needs.unchanged()) return {};
    std::vector<Wave> waves = {build(needs, buffers)};
    if (budget_ && *std::max_element(buffers.begin(), buffers.end()) > *budget_) {
      waves = cut(layer, buffers);
    }
    return waves;
  }

 private:
  Wave build(const LayerNeeds& needs, Buffers& buffers) const {
    return build_wave(needs, topology_, options_.inter_round_per_intra_round, buffers);
  }

  std::vector<Wave> cut(LayerId layer, Buffers& most) const {
    if (*budget_ == 0) {
      throw InfeasibleError(
          fmt::format("a staging budget of {} bytes per rank holds no expert; {} bytes would do",
                      options_.staging_bytes->count(), expert_bytes_.count()));
    }
    most.assign(topology_.ranks(), 0);
    std::vector<Wave> waves;
    LayerSlots before = problem_.before(layer);
    for (LayerSlots& after :
         split_into_waves(before, problem_.after(layer), problem_.experts(), *budget_)) {
      Buffers used(topology_.ranks(), 0);
      waves.push_back(build(find_needs(before, after, problem_.experts()), used));
      for (const RankId rank : most.ids()) most[rank] = std::max(most[rank], used[rank]);
      before = std::move(after);
    }
    MOESHIFT_CHECK(*std::max_element(most.begin(), most.end()) <= *budget_);
    return waves;
  }

  const Problem& problem_;
  const Topology& topology_;
  const ScheduleOptions& options_;
  std::optional<std::uint32_t> budget_;
  Bytes expert_bytes_;
};

}  // namespace

TransferPlan make_transfer_plan(const Placement& old, const Placement& next,
                                const Topology& topology, Bytes expert_bytes,
                                const ScheduleOptions& options, Threads threads) {
  const Problem problem(old, next, topology, options.dead_ranks, threads);
  TransferPlan plan = problem.empty_plan(expert_bytes);
  const LayerScheduler scheduler(problem, topology, options, expert_bytes);
  std::vector<Buffers> buffers(problem.layers());
  parallel_for(problem.layers(), threads, [&](std::size_t i) {
    plan.layers[i].waves = scheduler.schedule(LayerId(i), buffers[i]);
  });
  for (const Buffers& layer : buffers) {
    for (const RankId rank : layer.ids()) {
      plan.staging_slots[rank] = std::max(plan.staging_slots[rank], layer[rank]);
    }
  }
  plan.hash = content_hash(plan);
  return plan;
}

}  // namespace moeshift
