// SPDX-License-Identifier: Apache-2.0
// The host shuffle against the machine's own memcpy, in one run: look at the ratio of their
// bytes_per_second. Both count a byte once when it is copied once; the shuffle copies every moved
// expert twice (into a staging buffer, then into its slot).
#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/host_memory.hpp"
#include "moeshift/execute/host_pattern.hpp"
#include "moeshift/execute/rank_program.hpp"
#include "moeshift/execute/shuffle.hpp"

#include "tests/support/worlds.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kLayers = 4;
constexpr std::size_t kExperts = 64;
constexpr std::size_t kRanks = 8;
constexpr std::size_t kSlotsPerRank = 9;

test::Rearrangement rearrangement_of(Bytes expert) {
  return test::random_rearrangement(1, kLayers, kExperts, kRanks, kSlotsPerRank, 1, expert);
}

/// Staged and committed bytes of all ranks.
std::int64_t copied_bytes(const TransferPlan& plan) {
  std::int64_t copies = 0;
  for (const LayerMoves& layer : plan.layers) {
    for (const Wave& wave : layer.waves) {
      copies += static_cast<std::int64_t>(wave.stage_copies.size() + wave.transfers.size() +
                                          wave.commit_copies.size());
    }
  }
  return copies * plan.expert_bytes.count();
}

void host_shuffle(benchmark::State& state) {
  const test::Rearrangement work = rearrangement_of(Bytes(state.range(0)));
  ShuffleOptions options;
  options.verify = false;
  for (auto _ : state) {
    const auto world = host_backend().open({.ranks = kRanks, .place = {}, .settings = {}});
    const std::vector<RankOutcome> outcomes = run_world(*world, work.job(), options);
    Seconds longest{0.0};
    for (const RankOutcome& outcome : outcomes) {
      if (outcome.failure) state.SkipWithError(outcome.failure->message().c_str());
      longest = std::max(longest, outcome.times.total);
    }
    state.SetIterationTime(longest.count());
  }
  state.SetBytesProcessed(state.iterations() * copied_bytes(work.plan));
}

/// The same number of bytes by as many threads as the machine has, from block to block.
void machine_memcpy(benchmark::State& state) {
  const std::int64_t block = state.range(0);
  const std::int64_t blocks = copied_bytes(rearrangement_of(Bytes(block)).plan) / block;
  const auto threads = std::max(1U, std::thread::hardware_concurrency());
  HostArena arena(available_host_memory());
  // As much live memory as the shuffle has, so that caches help neither more.
  const auto places = static_cast<std::int64_t>(kLayers * kRanks * kSlotsPerRank);
  std::byte* from = arena.allocate(Bytes(block * places));
  std::byte* to = arena.allocate(Bytes(block * places));
  std::memset(from, 1, static_cast<std::size_t>(block * places));
  std::memset(to, 2, static_cast<std::size_t>(block * places));
  for (auto _ : state) {
    const SteadyClock::time_point start = SteadyClock::now();
    {
      std::vector<std::jthread> workers;
      for (unsigned thread = 0; thread < threads; ++thread) {
        workers.emplace_back([=] {
          for (std::int64_t i = thread; i < blocks; i += threads) {
            const std::int64_t place = i % places;
            const std::int64_t other = (place * 7 + 3) % places;
            std::memcpy(to + place * block, from + other * block, static_cast<std::size_t>(block));
          }
        });
      }
    }
    state.SetIterationTime(since(start).count());
  }
  state.SetBytesProcessed(state.iterations() * blocks * block);
}

void write_weights(benchmark::State& state) {
  std::vector<std::byte> slot(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    write_pattern(slot.data(), 17, 0, slot.size() / 8);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void check_weights(benchmark::State& state) {
  std::vector<std::byte> slot(static_cast<std::size_t>(state.range(0)));
  write_pattern(slot.data(), 17, 0, slot.size() / 8);
  for (auto _ : state) {
    benchmark::DoNotOptimize(check_pattern(slot.data(), 17, 0, slot.size() / 8));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void program_of_a_rank(benchmark::State& state) {
  const test::Rearrangement work = test::random_rearrangement(2, 58, 256, 32, 9, 4);
  for (auto _ : state) {
    benchmark::DoNotOptimize(make_rank_program(work.plan, RankId(5), Bytes(4096), Bytes(1 << 20)));
  }
}

BENCHMARK(host_shuffle)->Arg(2752512)->Arg(172032)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(machine_memcpy)
    ->Arg(2752512)
    ->Arg(172032)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(write_weights)->Arg(8 << 20);
BENCHMARK(check_weights)->Arg(8 << 20);
BENCHMARK(program_of_a_rank)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace moeshift
