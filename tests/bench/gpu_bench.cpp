// SPDX-License-Identifier: Apache-2.0
// Rates of what the CUDA transports are made of. Bytes are counted once (payload): a copy of n
// bytes reads n and writes n. Every figure is to be compared with another one of the same run.
#include <algorithm>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute_cuda/cuda_platform.hpp"
#include "moeshift/execute_cuda/memory/accelerator_memory.hpp"
#include "moeshift/execute_cuda/memory/copy_streams.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kKiB = 1 << 10;
constexpr std::int64_t kWorkingSet = std::int64_t{4} << 30U;  // many times the L2 cache

void finish(Pending& pending) {
  while (!pending.poll()) {
  }
}

bool no_gpu(benchmark::State& state) {
  const std::string reason = cuda_platform().runtime->unavailable_reason();
  if (!reason.empty()) state.SkipWithError(reason.c_str());
  return !reason.empty();
}

/// Copies between the two halves of the working set in chunks, all enqueued at once.
std::vector<CopyRequest> chunked_copies(std::byte* start, std::int64_t chunk, std::int64_t total) {
  std::vector<CopyRequest> copies;
  const std::int64_t half = kWorkingSet / 2;
  for (std::int64_t offset = 0; offset + chunk <= total; offset += chunk) {
    // Destinations run backwards, so that no two copies can be joined into one.
    copies.push_back({start + offset, start + half + (total - offset - chunk), Bytes(chunk)});
  }
  return copies;
}

void report(benchmark::State& state, std::int64_t bytes_per_iteration) {
  state.SetBytesProcessed(state.iterations() * bytes_per_iteration);
}

/// One stream, one cudaMemcpyAsync per chunk: what "the device-to-device copy rate" means here.
void plain_copy(benchmark::State& state) {
  if (no_gpu(state)) return;
  const std::int64_t chunk = state.range(0) * kKiB;
  const std::int64_t total = std::min(kWorkingSet / 2, chunk * 256) / chunk * chunk;
  const DeviceRuntime& runtime = *cuda_platform().runtime;
  const DeviceBuffer block = allocate_device(runtime, Bytes(kWorkingSet));
  const auto copies = chunked_copies(static_cast<std::byte*>(block.get()), chunk, total);
  const Stream stream = make_stream(runtime);
  for (auto _ : state) {
    for (const CopyRequest& copy : copies) {
      runtime.copy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes.count()),
                   CopyKind::kWithin, stream.get());
    }
    runtime.synchronize(stream.get());
  }
  report(state, total);
}

constexpr unsigned kKernelBlocks = 512;

/// What a copy lane does: batched, over several streams, by the path asked for.
void lane_copy(benchmark::State& state, CopyPath path) {
  if (no_gpu(state)) return;
  const std::int64_t chunk = state.range(0) * kKiB;
  const std::int64_t total = std::min(kWorkingSet / 2, chunk * 256) / chunk * chunk;
  const DeviceRuntime& runtime = *cuda_platform().runtime;
  const DeviceBuffer block = allocate_device(runtime, Bytes(kWorkingSet));
  const auto copies = chunked_copies(static_cast<std::byte*>(block.get()), chunk, total);
  CopyStreams streams(cuda_platform(), static_cast<std::size_t>(state.range(1)), path, false,
                      kKernelBlocks);
  for (auto _ : state) finish(*streams.start(copies));
  report(state, total);
}

void lane_copy_driver(benchmark::State& state) {
  lane_copy(state, CopyPath::kDriver);
}
void lane_copy_engine(benchmark::State& state) {
  lane_copy(state, CopyPath::kCopyEngine);
}
void lane_copy_kernel(benchmark::State& state) {
  lane_copy(state, CopyPath::kKernel);
}

std::vector<PatternTask> tasks_over(std::byte* start, const SlotLayout& layout) {
  std::vector<PatternTask> tasks;
  for (std::int64_t i = 0; (i + 1) * layout.slot_bytes.count() <= kWorkingSet; ++i) {
    tasks.push_back({start + i * layout.slot_bytes.count(), {1, LayerId(0), ExpertId(i)}});
  }
  return tasks;
}

void pattern(benchmark::State& state, bool verify) {
  if (no_gpu(state)) return;
  const SlotLayout layout = single_tensor_layout(Bytes(state.range(0) * kKiB));
  AcceleratorMemory memory(cuda_platform(), DeviceId{0}, {});
  const auto tasks = tasks_over(memory.allocate(Bytes(kWorkingSet)), layout);
  finish(*memory.fill(tasks, layout));
  for (auto _ : state) {
    if (verify) {
      const auto verification = memory.verify(tasks, layout);
      finish(*verification);
      if (!verification->mismatches().empty()) state.SkipWithError("wrong bytes");
    } else {
      finish(*memory.fill(tasks, layout));
    }
  }
  report(state, static_cast<std::int64_t>(tasks.size()) * layout.slot_bytes.count());
}

void fill_pattern(benchmark::State& state) {
  pattern(state, false);
}
void verify_pattern(benchmark::State& state) {
  pattern(state, true);
}

/// A ring of ranks as threads of this process: each sends `count` chunks to its right neighbour.
void ce_ring(benchmark::State& state) {
  if (no_gpu(state)) return;
  const auto ranks = static_cast<std::size_t>(state.range(1));
  const std::int64_t chunk = state.range(0) * kKiB;
  const std::int64_t per_rank = kWorkingSet / 2 / static_cast<std::int64_t>(ranks);
  const std::int64_t count = std::clamp<std::int64_t>(per_rank / chunk, 1, 64);
  WorldRequest options;
  options.ranks = ranks;
  const std::unique_ptr<World> world = find_backend("ce").open(options);
  const auto iterations = static_cast<std::int64_t>(state.max_iterations);
  std::vector<std::jthread> peers;
  const auto run = [&](RankId self, const std::function<bool()>& again) {
    Member member = world->join(self, Deadline::in(Seconds(30.0)));
    const RankId right((self.index() + 1) % ranks);
    const RankId left((self.index() + ranks - 1) % ranks);
    std::byte* const out = member.memory->allocate(Bytes(count * chunk));
    std::byte* const in = member.memory->allocate(Bytes(count * chunk));
    member.transport->connect(std::vector{right}, std::vector{left}, Deadline::in(Seconds(30.0)));
    while (again()) {
      std::vector<std::unique_ptr<Pending>> pending;
      for (std::int64_t i = 0; i < count; ++i) {
        const std::vector<Message> messages = {
            {right, Direction::kSend, out + i * chunk, Bytes(chunk)},
            {left, Direction::kReceive, in + i * chunk, Bytes(chunk)}};
        pending.push_back(member.transport->exchange(messages));
      }
      for (const auto& exchange : pending) finish(*exchange);
    }
    member.transport->close(Deadline::in(Seconds(30.0)));
  };
  for (std::size_t i = 1; i < ranks; ++i) {
    peers.emplace_back([&, i] {
      std::int64_t left = iterations;
      run(RankId(i), [&] { return left-- > 0; });
    });
  }
  run(RankId(0), [&] { return state.KeepRunning(); });
  peers.clear();
  report(state, static_cast<std::int64_t>(ranks) * count * chunk);
}

// 170 KB, 1.4 MB, 5.5 MB and 44 MB: the experts of the models that we ship.
constexpr std::int64_t kChunks[] = {168, 1376, 5376, 43008};

void chunk_sizes(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t chunk : kChunks) benchmark->Arg(chunk);
}
void chunks_and_streams(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t chunk : kChunks) {
    for (const std::int64_t streams : {1, 2, 4, 8}) benchmark->Args({chunk, streams});
  }
}
void chunks_and_one_stream(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t chunk : kChunks) benchmark->Args({chunk, 1});
}
void chunks_and_ranks(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t chunk : kChunks) {
    for (const std::int64_t ranks : {2, 8}) benchmark->Args({chunk, ranks});
  }
}

BENCHMARK(plain_copy)->Apply(chunk_sizes)->UseRealTime();
BENCHMARK(lane_copy_driver)->Apply(chunks_and_streams)->UseRealTime();
BENCHMARK(lane_copy_engine)->Apply(chunks_and_streams)->UseRealTime();
BENCHMARK(lane_copy_kernel)->Apply(chunks_and_one_stream)->UseRealTime();
BENCHMARK(fill_pattern)->Apply(chunk_sizes)->UseRealTime();
BENCHMARK(verify_pattern)->Apply(chunk_sizes)->UseRealTime();
BENCHMARK(ce_ring)->Apply(chunks_and_ranks)->UseRealTime()->Iterations(20);

}  // namespace
}  // namespace moeshift
