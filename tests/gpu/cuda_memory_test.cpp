// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/memory/accelerator_memory.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

#include "gpu_support.hpp"
#include "test_kernels.hpp"

namespace moeshift {
namespace {

using test::finish;

/// Tensors of unlike sizes, as experts with scales have.
SlotLayout layout() {
  return {.tensors = {{"w13", Bytes(0), Bytes(1 << 20)},
                      {"w13_scale", Bytes(1 << 20), Bytes(16)},
                      {"w2", Bytes((1 << 20) + 16), Bytes(4096 * 3)}},
          .slot_bytes = Bytes((1 << 20) + 16 + 4096 * 3)};
}

struct Slots {
  explicit Slots(std::size_t count)
      : start(memory.allocate(layout().slot_bytes * static_cast<std::int64_t>(count))) {
    for (std::size_t i = 0; i < count; ++i) {
      tasks.push_back({.slot = start + static_cast<std::int64_t>(i) * layout().slot_bytes.count(),
                       .key = {.seed = 7, .layer = LayerId(3), .expert = ExpertId(i)}});
    }
    finish(*memory.poison(start, layout().slot_bytes * static_cast<std::int64_t>(count)));
  }
  std::vector<Mismatch> verify() {
    const std::unique_ptr<Verification> verification = memory.verify(tasks, layout());
    finish(*verification);
    return verification->mismatches();
  }

  AcceleratorMemory memory{cuda_platform(), DeviceId{0}, {}};
  std::byte* start;
  std::vector<PatternTask> tasks;
};

TEST_CASE("what was filled verifies on the device", "[gpu]") {
  test::require_gpu();
  Slots slots(9);
  finish(*slots.memory.fill(slots.tasks, layout()));
  REQUIRE(slots.verify().empty());
}

TEST_CASE("poisoned memory fails verification in every slot", "[gpu]") {
  test::require_gpu();
  Slots slots(3);
  const std::vector<Mismatch> found = slots.verify();
  REQUIRE(found.size() == 3);
  // About 1 byte in 256 of a random pattern happens to equal the poison.
  REQUIRE(found[0].wrong_bytes >
          static_cast<std::uint64_t>(layout().slot_bytes.count()) * 99 / 100);
}

TEST_CASE("a flipped byte is found in its slot at its offset", "[gpu]") {
  test::require_gpu();
  Slots slots(5);
  finish(*slots.memory.fill(slots.tasks, layout()));
  const std::int64_t offset = (1 << 20) + 16 + 100;  // in the third tensor
  slots.memory.corrupt(slots.tasks[2].slot + offset);
  const std::vector<Mismatch> found = slots.verify();
  REQUIRE(found.size() == 1);
  REQUIRE(found[0].task == 2);
  REQUIRE(found[0].wrong_bytes == 1);
  REQUIRE(found[0].first_offset == static_cast<std::uint64_t>(offset));
}

TEST_CASE("copies arrive on both lanes", "[gpu]") {
  test::require_gpu();
  Slots slots(4);
  finish(*slots.memory.fill(std::span(slots.tasks).first(2), layout()));
  const std::vector<CopyRequest> stage = {
      {slots.tasks[0].slot, slots.tasks[2].slot, layout().slot_bytes}};
  const std::vector<CopyRequest> commit = {
      {slots.tasks[1].slot, slots.tasks[3].slot, layout().slot_bytes}};
  const auto first = slots.memory.copy(stage, CopyLane::kStage);
  const auto second = slots.memory.copy(commit, CopyLane::kCommit);
  finish(*first);
  finish(*second);
  slots.tasks[2].key.expert = ExpertId(0);
  slots.tasks[3].key.expert = ExpertId(1);
  REQUIRE(slots.verify().empty());
}

TEST_CASE("more memory than the rank's share is refused with both figures", "[gpu]") {
  test::require_gpu();
  AcceleratorMemory memory(cuda_platform(), DeviceId{0}, {.ranks_on_device = 2});
  const std::optional<Bytes> available = memory.available();
  REQUIRE(available.has_value());
  REQUIRE_THROWS_AS(memory.allocate(*available + Bytes(1)), InfeasibleError);
}

// Hidden: run by scripts/gpu under compute-sanitizer, which has to notice.
TEST_CASE("a write past the end of device memory", "[.planted]") {
  test::require_gpu();
  const DeviceRuntime& runtime = *cuda_platform().runtime;
  const DeviceBuffer block = allocate_device(runtime, Bytes(256));
  const Stream stream = make_stream(runtime);
  test::launch_stray_write(static_cast<unsigned char*>(block.get()), 256,
                           static_cast<cudaStream_t>(stream.get()));
  (void)cudaStreamSynchronize(static_cast<cudaStream_t>(stream.get()));
}

}  // namespace
}  // namespace moeshift
