// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/scheduler.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/grouping.hpp"
#include "moeshift/schedule/problem.hpp"
#include "moeshift/schedule/wave_builder.hpp"
#include "moeshift/schedule/waves.hpp"

namespace moeshift {
namespace {

using Buffers = IdVector<RankId, std::uint32_t>;

/// Schedules the layers of one problem, each on its own.
class LayerScheduler {
 public:
  LayerScheduler(const Problem& problem, const Topology& topology, const ScheduleOptions& options)
      : problem_(problem), topology_(topology), options_(options) {}

  /// The waves of a layer; `buffers` becomes the most that any of them needs per rank.
  std::vector<Wave> schedule(LayerId layer, Buffers& buffers) const {
    const LayerNeeds& needs = problem_.needs(layer);
    buffers.assign(topology_.ranks(), 0);
    if (needs.unchanged()) return {};
    std::vector<Wave> waves = {build(needs, buffers)};
    if (exceeds_budget(waves.front(), layer)) waves = cut(layer, buffers);
    return waves;
  }

 private:
  bool exceeds_budget(const Wave& wave, LayerId layer) const {
    if (!options_.staging_bytes) return false;
    IdVector<RankId, Bytes> used(topology_.ranks());
    add_staging_bytes(wave, problem_.sizes(), layer, used);
    return *std::max_element(used.begin(), used.end()) > *options_.staging_bytes;
  }

  /// Of its largest experts.
  std::uint32_t buffers_in_budget(LayerId layer) const {
    const std::int64_t count =
        options_.staging_bytes->count() / problem_.sizes().largest(layer).count();
    return static_cast<std::uint32_t>(std::min<std::int64_t>(count, 1 << 20));
  }

  Wave build(const LayerNeeds& needs, Buffers& buffers) const {
    return build_wave(needs, topology_,
                      {.inter_round_per_intra_round = options_.inter_round_per_intra_round,
                       .direct = options_.direct},
                      buffers);
  }

  /// A layer in waves; none when there is no buffer and one is needed.
  struct Cut {
    std::vector<Wave> waves;
    Buffers most;
    double length = 0;  ///< in crossings
  };

  std::vector<Wave> cut(LayerId layer, Buffers& most) const {
    Cut best = cut(layer, options_.direct);
    if (best.waves.empty()) {
      throw InfeasibleError(
          fmt::format("a staging budget of {} bytes per rank holds no expert; {} bytes would do",
                      options_.staging_bytes->count(), problem_.sizes().largest(layer).count()));
    }
    if (options_.direct && buffers_in_budget(layer) > 0) {
      // Slots that are overwritten at once are no sources: ports may wait for the others.
      Cut other = cut(layer, false);
      if (other.length < best.length) best = std::move(other);
    }
    most = std::move(best.most);
    MOESHIFT_CHECK(*std::max_element(most.begin(), most.end()) <= buffers_in_budget(layer));
    return std::move(best.waves);
  }

  Cut cut(LayerId layer, bool overwrite) const {
    const auto steps = split_into_waves(problem_.before(layer), problem_.after(layer),
                                        problem_.experts(), {buffers_in_budget(layer), overwrite});
    Cut cut;
    if (!steps) return cut;
    cut.most.assign(topology_.ranks(), 0);
    for (const auto& [before, after] : *steps) {
      Buffers used(topology_.ranks(), 0);
      cut.waves.push_back(build(problem_.needs_between(layer, before, after), used));
      cut.length += length_of(cut.waves.back());
      for (const RankId rank : used.ids()) cut.most[rank] = std::max(cut.most[rank], used[rank]);
    }
    return cut;
  }

  /// Rounds between nodes, or those inside if they take longer; a vote and a commit take about one.
  double length_of(const Wave& wave) const {
    double inside = 0;
    double between = 0;
    for (const Transfer& t : wave.transfers) {
      double& rounds = t.link == LinkClass::kIntraNode ? inside : between;
      rounds = std::max(rounds, t.round + 1.0);
    }
    return 1 + std::max(between, inside / options_.inter_round_per_intra_round);
  }

  const Problem& problem_;
  const Topology& topology_;
  const ScheduleOptions& options_;
};

/// Experts of any size that a pair may exchange in one group; nothing when any number.
std::optional<std::size_t> experts_per_pair(const ScheduleOptions& options, Bytes largest) {
  if (!options.channels || options.chunk_bytes.count() == 0 || largest.count() == 0) {
    return std::nullopt;
  }
  const auto messages = static_cast<std::int64_t>(messages_per_pair(*options.channels));
  const std::int64_t experts = options.chunk_bytes.count() * messages / largest.count();
  if (experts > 0) return static_cast<std::size_t>(experts);
  throw InfeasibleError(
      fmt::format("{} channels leave {} messages per pair and group: too few for an expert of {} "
                  "bytes in chunks of {}; chunks of {} bytes would do",
                  *options.channels, messages, largest.count(), options.chunk_bytes.count(),
                  (largest.count() + messages - 1) / messages));
}

Bytes joined_below(const TransferPlan& plan, const Joining& join) {
  constexpr std::int64_t kBatches = 6;
  if (join.up_to <= join.below) return join.below;
  return std::clamp(Bytes(most_staged(plan).count() / kBatches), join.below, join.up_to);
}

void group_layers(TransferPlan& plan, const std::vector<Buffers>& buffers,
                  const ScheduleOptions& options) {
  const std::optional<std::size_t> per_pair = experts_per_pair(options, plan.sizes.largest());
  JoinLimits limits;
  limits.port = options.batch_bytes;
  limits.inter_round_per_intra_round = options.inter_round_per_intra_round;
  limits.staging = options.staging_bytes;
  limits.layers = per_pair.value_or(0);
  join_layers(plan, buffers, limits);
  if (options.join.below.count() > 0) {
    limits.port = Bytes(std::numeric_limits<std::int64_t>::max());
    const Bytes most = joined_below(plan, options.join) - Bytes(1);
    limits.staging = std::min(limits.staging.value_or(most), most);
    join_layers(plan, buffers, limits);
  }
  if (per_pair) cut_groups(plan, *per_pair);
}

}  // namespace

ScheduleOptions options_for(const Cluster& cluster) {
  ScheduleOptions options;
  options.inter_round_per_intra_round =
      cluster.intra_node.egress.count() / cluster.inter_node.egress.count();
  return options;
}

Bytes batch_bytes_for(const Cluster& cluster) {
  constexpr double kShare = 0.1;
  const FixedCosts& fixed = cluster.fixed;
  const Seconds besides = fixed.launch + cluster.inter_node.latency + fixed.vote + fixed.commit;
  return Bytes(
      static_cast<std::int64_t>(besides.count() / kShare * cluster.inter_node.egress.count()));
}

Bytes largest_batch(const TransferPlan& plan) {
  std::uint32_t most = 0;
  for (const std::uint32_t slots : plan.staging_slots) most = std::max(most, slots);
  return plan.sizes.largest() * static_cast<std::int64_t>(most);
}

TransferPlan make_transfer_plan(const Placement& old, const Placement& next,
                                const Topology& topology, const ExpertSizes& sizes,
                                const ScheduleOptions& options, Threads threads) {
  const Problem problem(old, next, topology, sizes, options.dead_ranks, threads);
  TransferPlan plan = problem.empty_plan();
  plan.chunk_bytes = options.chunk_bytes;
  const LayerScheduler scheduler(problem, topology, options);
  std::vector<Buffers> buffers(problem.layers());
  parallel_for(problem.layers(), threads, [&](std::size_t i) {
    plan.layers[i].waves = scheduler.schedule(LayerId(i), buffers[i]);
  });
  group_layers(plan, buffers, options);
  plan.hash = content_hash(plan);
  return plan;
}

}  // namespace moeshift
