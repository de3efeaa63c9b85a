// SPDX-License-Identifier: Apache-2.0
// The engine moves buffers that belong to this program: eight ranks of 32 experts each, rearranged
// three times. Each expert is two tensors that lie apart, as in an inference engine.
//
//   move_own_weights                   every checksum must be right
//   move_own_weights --plant-error     one byte is spoilt after a commit: the engine must find it
//   move_own_device_weights TRANSPORT  the same in memory of GPUs, by ce, peer or auto
//
// The two programs differ in where memory is (own_memory.hpp).
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "own_memory.hpp"

namespace {

using namespace moeshift;

constexpr std::size_t kRanks = 8;
constexpr std::size_t kLayers = 4;
constexpr std::size_t kExperts = 48;
constexpr std::size_t kSlotsPerRank = 8;  // of a layer: 32 buffers per rank in all
constexpr std::size_t kRearrangements = 3;
constexpr std::size_t kTensors = 2;
constexpr std::size_t kTensorBytes[kTensors] = {40'000, 640};  // weights and scales

/// What an inference engine has: a buffer per rank, layer, slot and tensor.
class Weights {
 public:
  explicit Weights(OwnMemory& memory) : memory_(memory) {
    for (std::size_t rank = 0; rank < kRanks; ++rank) {
      for (std::size_t i = 0; i < kLayers * kSlotsPerRank * kTensors; ++i) {
        buffers_.push_back(memory_.allocate(RankId(rank), kRanks, kTensorBytes[i % kTensors]));
      }
    }
  }

  [[nodiscard]] std::byte* tensor(std::size_t rank, std::size_t layer, std::size_t slot,
                                  std::size_t tensor) const {
    return buffers_[((rank * kLayers + layer) * kSlotsPerRank + slot) * kTensors + tensor];
  }

  /// Random weights; replicas of an expert are equal.
  void fill(const Placement& placement) {
    each_tensor(placement, [&](std::byte* start, const std::vector<std::byte>& expected) {
      memory_.write(start, expected.data(), expected.size());
    });
  }

  /// Tensors that are not what their expert was filled with.
  std::size_t wrong(const Placement& placement) {
    std::size_t count = 0;
    std::vector<std::byte> found;
    each_tensor(placement, [&](std::byte* start, const std::vector<std::byte>& expected) {
      found.resize(expected.size());
      memory_.read(found.data(), start, found.size());
      count += found == expected ? 0U : 1U;
    });
    return count;
  }

  void spoil(std::byte* byte) {
    std::byte value{};
    memory_.read(&value, byte, 1);
    value ^= std::byte{1};
    memory_.write(byte, &value, 1);
  }

 private:
  template <class Visit>
  void each_tensor(const Placement& placement, const Visit& visit) {
    std::vector<std::byte> expected;
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      for (std::size_t slot = 0; slot < kRanks * kSlotsPerRank; ++slot) {
        const ExpertId expert = placement(LayerId(layer), SlotId(slot));
        for (std::size_t t = 0; t < kTensors; ++t) {
          Rng rng(1 + (layer * kExperts + expert.index()) * kTensors + t);
          expected.resize(kTensorBytes[t]);
          for (std::byte& byte : expected) byte = std::byte(rng.below(256));
          visit(tensor(slot / kSlotsPerRank, layer, slot % kSlotsPerRank, t), expected);
        }
      }
    }
  }

  OwnMemory& memory_;
  std::vector<std::byte*> buffers_;
};

/// Told by all ranks as they go. An engine switches its maps here: once its rank has committed a
/// layer, the new experts are in their slots.
class Listener final : public ShuffleObserver {
 public:
  Listener(Weights& weights, bool plant) : weights_(weights), plant_(plant) {}

  void reached(const LayerStep& step) override {
    if (step.phase != Phase::kCommitted || !step.last_wave) return;
    ++commits;
    if (plant_ && step.rank == RankId(3) && step.layer == LayerId(1)) {
      weights_.spoil(weights_.tensor(3, 1, 2, 0));
    }
  }
  std::atomic<std::size_t> commits = 0;

 private:
  Weights& weights_;
  bool plant_;
};

Placement placement_for(std::uint64_t seed) {
  Rng rng(seed);
  PlanProblem problem{.load = LoadMatrix(kLayers, kExperts),
                      .topology = Topology(kRanks, 2),
                      .slots = kRanks * kSlotsPerRank};
  for (double& tokens : problem.load.items()) tokens = static_cast<double>(1 + rng.below(1000));
  NoProgress silent;
  return make_planner("balanced")->plan(problem, Threads{1}, silent).placement;
}

/// How an expert's tensors follow each other in messages and buffers.
SlotLayout layout() {
  SlotLayout slot;
  for (const std::size_t tensor : kTensorBytes) {
    const auto bytes = Bytes(static_cast<std::int64_t>(tensor));
    slot.tensors.push_back({"tensor", slot.slot_bytes, bytes});
    slot.slot_bytes += bytes;
  }
  return slot;
}

/// @return whether the engine found every slot right.
bool rearrange(OwnMemory& memory, Weights& weights, const Placement& old, const Placement& next,
               bool plant) {
  const ExpertLayouts layouts(layout());
  const TransferPlan plan = make_transfer_plan(old, next, Topology(kRanks, 2), layouts.sizes());
  const auto slots =
      memory.registered([&](RankId rank, std::size_t layer, std::size_t slot, std::size_t tensor) {
        return weights.tensor(rank.index(), layer, slot, tensor);
      });
  Listener listener(weights, plant);
  ShuffleOptions options;
  options.weights = slots.get();
  options.observers = {&listener};
  const auto world = memory.open_world(kRanks);
  const std::vector<RankOutcome> ranks =
      run_world(*world, {.plan = &plan, .old = &old, .next = &next, .layout = layouts}, options);

  std::size_t verified = 0;
  bool right = true;
  for (const RankOutcome& rank : ranks) {
    if (rank.failure) {
      std::printf("failed: %s\n", rank.failure->message().c_str());
      right = false;
    }
    for (const SlotFault& fault : rank.faults) {
      std::printf("found: rank %u, layer %u, slot %zu does not hold expert %u\n",
                  fault.rank.value(), fault.layer.value(), fault.slot, fault.expert.value());
      right = false;
    }
    verified += rank.slots_verified;
  }
  std::printf("%zu transfers, %zu commits, %zu slots verified\n", totals_of(plan).transfers,
              listener.commits.load(), verified);
  return right && verified == kLayers * kRanks * kSlotsPerRank;
}

int run(OwnMemory& memory, bool plant) {
  Weights weights(memory);
  Placement now = placement_for(0);
  weights.fill(now);
  for (std::size_t i = 1; i <= kRearrangements; ++i) {
    const Placement next = placement_for(i);
    if (!rearrange(memory, weights, now, next, plant)) return 1;
    now = next;
    const std::size_t wrong = weights.wrong(now);
    std::printf("rearrangement %zu: %zu of %zu buffers wrong\n", i, wrong,
                kRanks * kLayers * kSlotsPerRank * kTensors);
    if (wrong > 0) return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    const auto plant = std::ranges::find(words, "--plant-error");
    const bool named = !words.empty() && words.front() != "--plant-error";
    const auto memory = own_memory(named ? words.front() : "");
    return run(*memory, plant != words.end());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
