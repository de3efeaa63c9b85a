// SPDX-License-Identifier: Apache-2.0
// The host shuffle against the machine's own memcpy, in one benchmark, by turns: `share` is the
// bandwidth of the one over that of the other (best of all turns each). Both count a byte once when
// it is copied once; the shuffle copies every moved expert twice (into a staging buffer, then into
// its slot), so `moved` is about half of `copied`. Buffers that stay in a cache make the second
// copy cheap, which memcpy over all of the memory never is: `share` may exceed 1. Wants a machine
// with nothing else to do: the shuffle has a thread per rank, memcpy one per core, and a scheduler
// that divides among threads favours whoever has more of them.
#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/engine/rank_program.hpp"
#include "moeshift/execute/host/free_memory.hpp"
#include "moeshift/execute/host/host_memory.hpp"
#include "moeshift/execute/host/host_pattern.hpp"
#include "moeshift/execute/shuffle.hpp"

#include "tests/support/worlds.hpp"

namespace moeshift {
namespace {

/// Two layers, 9 slots per rank for 8 experts per rank.
struct Case {
  Bytes expert;
  std::size_t ranks;

  static constexpr std::size_t kLayers = 2;
  static constexpr std::size_t kSlotsPerRank = 9;

  [[nodiscard]] test::Rearrangement rearrangement() const {
    return test::random_rearrangement(1, kLayers, 8 * ranks, ranks, kSlotsPerRank, 1, expert);
  }
  [[nodiscard]] std::int64_t slots() const {
    return static_cast<std::int64_t>(kLayers * ranks * kSlotsPerRank);
  }
};

/// How many experts are copied: into buffers, and from there into slots.
std::int64_t copies_of(const TransferPlan& plan) {
  std::int64_t copies = 0;
  for (const LayerMoves& layer : plan.layers) {
    for (const Wave& wave : layer.waves) {
      copies += static_cast<std::int64_t>(wave.stage_copies.size() + wave.transfers.size() +
                                          wave.commit_copies.size());
    }
  }
  return copies;
}

/// From the common start to the last commit; setting up and comparing lie outside.
Seconds shuffle(const test::Rearrangement& work) {
  ShuffleOptions options;
  options.verify = false;
  const auto world = host_backend().open({.ranks = work.plan.ranks, .place = {}, .settings = {}});
  Seconds longest{0.0};
  for (const RankOutcome& outcome : run_world(*world, work.job(), options)) {
    if (outcome.failure) throw ShuffleFailure(*outcome.failure);
    longest = std::max(longest, outcome.times.total);
  }
  return longest;
}

/// Copies of one block to another by as many threads as the machine has. As much memory as the
/// shuffle's slots, all of it touched before, so that caches and page faults help neither more.
class MemcpyField {
 public:
  MemcpyField(Bytes block, std::int64_t places)
      : block_(static_cast<std::size_t>(block.count())),
        places_(static_cast<std::size_t>(places)),
        arena_(free_host_memory()),
        from_(arena_.allocate(block * places)),
        to_(arena_.allocate(block * places)) {
    std::memset(from_, 1, block_ * places_);
    std::memset(to_, 2, block_ * places_);
  }

  Seconds copy(std::size_t blocks) {
    const std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
    const SteadyClock::time_point start = SteadyClock::now();
    {
      std::vector<std::jthread> workers;
      for (std::size_t thread = 0; thread < threads; ++thread) {
        workers.emplace_back([=, this] {
          for (std::size_t i = thread; i < blocks; i += threads) copy_one(i % places_);
        });
      }
    }
    return since(start);
  }

 private:
  void copy_one(std::size_t place) const {
    std::memcpy(to_ + place * block_, from_ + (place * 7 + 3) % places_ * block_, block_);
  }

  std::size_t block_;
  std::size_t places_;
  HostArena arena_;
  std::byte* from_;
  std::byte* to_;
};

void host_shuffle_and_memcpy(benchmark::State& state) {
  const Case c{Bytes(state.range(0)), static_cast<std::size_t>(state.range(1))};
  const test::Rearrangement work = c.rearrangement();
  const std::int64_t copies = copies_of(work.plan);
  MemcpyField field(c.expert, c.slots());
  Seconds shuffled{1e9};
  Seconds copied{1e9};
  for (auto _ : state) {
    const Seconds took = shuffle(work);
    shuffled = std::min(shuffled, took);
    copied = std::min(copied, field.copy(static_cast<std::size_t>(copies)));
    state.SetIterationTime(took.count());
  }
  const TransferTotals totals = totals_of(work.plan);
  const auto moved = static_cast<std::int64_t>(totals.transfers + totals.local_copies);
  const auto rate = [&](std::int64_t count, Seconds time) {
    return static_cast<double>(count * c.expert.count()) / time.count();
  };
  state.counters["copied/s"] = rate(copies, shuffled);
  state.counters["moved/s"] = rate(moved, shuffled);
  state.counters["memcpy/s"] = rate(copies, copied);
  state.counters["share"] = ratio(copied, shuffled);
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
    benchmark::DoNotOptimize(
        make_rank_program(work.plan, RankId(5), work.layout, {.pack_below = Bytes(1 << 20)}));
  }
}

BENCHMARK(host_shuffle_and_memcpy)
    ->Args({2752512, 8})
    ->Args({2752512, 32})
    ->Args({688128, 32})
    ->ArgNames({"bytes", "ranks"})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(write_weights)->Arg(8 << 20);
BENCHMARK(check_weights)->Arg(8 << 20);
BENCHMARK(program_of_a_rank)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace moeshift
