// SPDX-License-Identifier: Apache-2.0
// Scheduling all 58 layers of a model with 256 experts, on 2 threads: random placements, in which
// nearly every slot changes, and placements that differ by a few swaps per layer.
#include <utility>

#include <benchmark/benchmark.h>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "tests/support/random_placement.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kLayers = 58;
constexpr std::size_t kExperts = 256;
constexpr Bytes kExpertBytes{44'050'944};

struct Work {
  Placement old;
  Placement next;
  Topology topology;
};

/// `swaps` pairs of slots exchanged per layer; 0 = everything anew.
Work work_of(std::size_t ranks, std::size_t slots_per_rank, std::size_t swaps) {
  Rng rng(1);
  const test::PlacementShape shape{kLayers, kExperts, ranks, slots_per_rank};
  Placement old = test::random_placement(shape, rng);
  Placement next =
      swaps > 0 ? test::with_swaps(old, swaps, rng) : test::random_placement(shape, rng);
  return {std::move(old), std::move(next), Topology(ranks, ranks / 8)};
}

void schedule(benchmark::State& state) {
  const Work work =
      work_of(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)),
              static_cast<std::size_t>(state.range(2)));
  std::size_t transfers = 0;
  for (auto _ : state) {
    const TransferPlan plan =
        make_transfer_plan(work.old, work.next, work.topology, kExpertBytes, {}, Threads{2});
    transfers = totals_of(plan).transfers;
    benchmark::DoNotOptimize(transfers);
  }
  state.counters["transfers"] = static_cast<double>(transfers);
}

void peer_schedule(benchmark::State& state) {
  const Work work = work_of(32, 9, 0);
  for (auto _ : state) {
    benchmark::DoNotOptimize(make_peer_plan(PeerSchedule::kVllmBatched, work.old, work.next,
                                            work.topology, kExpertBytes, 6, Threads{2}));
  }
}

void pricing(benchmark::State& state) {
  const auto ranks = static_cast<std::size_t>(state.range(0));
  const Work work = work_of(ranks, static_cast<std::size_t>(state.range(1)), 0);
  const TransferPlan plan =
      make_transfer_plan(work.old, work.next, work.topology, kExpertBytes, {}, Threads{2});
  Cluster cluster;
  cluster.local_copy = BytesPerSecond(2.1e12);
  cluster.intra_node = {Seconds(12e-6),
                        Seconds(1e-6),
                        BytesPerSecond(260e9),
                        BytesPerSecond(370e9),
                        BytesPerSecond(370e9),
                        {},
                        {},
                        ""};
  cluster.inter_node = {Seconds(22e-6),
                        Seconds(1e-6),
                        BytesPerSecond(48e9),
                        BytesPerSecond(48e9),
                        BytesPerSecond(48e9),
                        {},
                        {},
                        ""};
  for (auto _ : state) benchmark::DoNotOptimize(price(plan, work.topology, cluster));
}

/// ranks, slots per rank, swaps
BENCHMARK(schedule)
    ->Args({32, 9, 0})
    ->Args({32, 9, 8})
    ->Args({256, 2, 0})
    ->Args({256, 5, 0})
    ->Args({256, 2, 32})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(peer_schedule)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(pricing)->Args({32, 9})->Args({256, 2})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace moeshift
