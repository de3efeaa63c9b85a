// SPDX-License-Identifier: Apache-2.0
// Weights of a caller's own in device memory, on every device transport.
#include "moeshift/execute/caller_weights.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

#include "ruled_worlds.hpp"
#include "tests/support/own_tensors.hpp"
#include "tests/support/worlds.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kRanks = 4;

const DeviceRuntime& runtime_of(const std::string& transport) {
  if (transport == "rccl") return *test::ruled_hip().runtime;
  if (transport == "hccl") return *test::ruled_npu().device.runtime;
  return *test::ruled_cuda().runtime;
}

/// Device memory that a caller took by himself, a device per rank.
class CallersDevices {
 public:
  explicit CallersDevices(const DeviceRuntime& runtime) : runtime_(runtime) {
    runtime_.bind({0});
    stream_ = runtime_.create_stream(false);
  }
  CallersDevices(const CallersDevices&) = delete;
  CallersDevices& operator=(const CallersDevices&) = delete;
  ~CallersDevices() {
    for (void* start : taken_) runtime_.free(start);
    runtime_.destroy_stream(stream_);
  }

  test::TensorMemory tensors() {
    return {.allocate =
                [this](RankId rank, std::size_t bytes) {
                  runtime_.bind({static_cast<int>(rank.index())});
                  return static_cast<std::byte*>(taken_.emplace_back(runtime_.allocate(bytes)));
                },
            .write =
                [this](std::byte* to, std::span<const std::byte> bytes) {
                  copy(stream_, to, bytes.data(), bytes.size(), CopyKind::kToDevice);
                },
            .read =
                [this](std::span<std::byte> to, const std::byte* from) {
                  copy(stream_, to.data(), from, to.size(), CopyKind::kToHost);
                }};
  }

  /// From a rank's own thread, on a stream of its own.
  void read(std::byte* to, const std::byte* from, std::size_t bytes) const {
    DeviceStream stream = runtime_.create_stream(false);
    copy(stream, to, from, bytes, CopyKind::kToHost);
    runtime_.destroy_stream(stream);
  }

 private:
  void copy(DeviceStream stream, std::byte* to, const std::byte* from, std::size_t bytes,
            CopyKind kind) const {
    runtime_.copy(to, from, bytes, kind, stream);
    runtime_.synchronize(stream);
  }

  const DeviceRuntime& runtime_;
  DeviceStream stream_;
  std::vector<void*> taken_;
};

SlotLayout two_tensors() {
  return {.tensors = {{"weights", Bytes(0), Bytes(4000)}, {"scales", Bytes(4000), Bytes(160)}},
          .slot_bytes = Bytes(4160)};
}

/// What the ranks found wrong after one rearrangement.
std::vector<SlotFault> rearranged(const std::string& transport, const test::Rearrangement& job,
                                  const CallerWeights& weights, ShuffleObserver* observer) {
  ShuffleOptions options;
  options.weights = &weights;
  if (observer != nullptr) options.observers = {observer};
  WorldRequest request;
  request.ranks = kRanks;
  request.settings["threads"] = "";
  const auto world = std::make_unique<test::RuledWorld>(test::ruled_row(transport).open(request));
  std::vector<SlotFault> faults;
  for (const RankOutcome& rank : run_world(*world, job.job(), options)) {
    INFO((rank.failure ? rank.failure->message() : ""));
    REQUIRE_FALSE(rank.failure);
    faults.insert(faults.end(), rank.faults.begin(), rank.faults.end());
  }
  return faults;
}

/// Spoils a byte of a slot once its layer is live.
class Vandal final : public ShuffleObserver {
 public:
  explicit Vandal(std::function<void()> spoil) : spoil_(std::move(spoil)) {}
  void reached(const LayerStep& step) override {
    if (step.rank == RankId(2) && step.layer == LayerId(0) && step.phase == Phase::kCommitted) {
      spoil_();
    }
  }

 private:
  std::function<void()> spoil_;
};

TEST_CASE("a caller's own device memory is moved where it lies, and a wrong byte there is found") {
  const std::string transport =
      GENERATE(as<std::string>{}, "nccl", "ce", "peer", "auto", "rccl", "hccl");
  INFO(transport);
  rulebook::configure({});
  Rng rng(11);
  const test::PlacementShape shape{3, 12, kRanks, 5};
  std::vector<Placement> steps;
  for (int i = 0; i < 4; ++i) steps.push_back(test::random_placement(shape, rng));
  {
    CallersDevices devices(runtime_of(transport));
    const test::OwnTensors own(steps[0], steps[1], two_tensors(), 1, devices.tensors());
    const DeviceWeights weights(own.find(),
                                [&](std::byte* to, const std::byte* from, std::size_t bytes) {
                                  devices.read(to, from, bytes);
                                });
    own.fill(steps[0]);
    for (std::size_t i = 1; i < 3; ++i) {
      const auto job = test::rearrangement(steps[i - 1], steps[i], 1, two_tensors());
      CHECK(rearranged(transport, job, weights, nullptr).empty());
      CHECK(own.wrong(steps[i]) == 0);
    }
    Vandal vandal([&] { own.flip(own.at(RankId(2), 0, 1, 0)); });
    const auto job = test::rearrangement(steps[2], steps[3], 1, two_tensors());
    const auto faults = rearranged(transport, job, weights, &vandal);
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].rank == RankId(2));
    CHECK(faults[0].slot == 1);
    CHECK(own.wrong(steps[3]) == 1);
  }
  CHECK(test::text_of_findings() == "");
}

}  // namespace
}  // namespace moeshift
