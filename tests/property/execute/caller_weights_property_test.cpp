// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/error.hpp"
#include "moeshift/execute/caller_weights.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/own_tensors.hpp"
#include "tests/support/worlds.hpp"

using namespace moeshift;

namespace {

using test::OwnTensors;

SlotLayout any_layout(Rng& rng) {
  SlotLayout layout;
  const std::size_t tensors = 1 + rng.below(3);
  for (std::size_t t = 0; t < tensors; ++t) {
    const Bytes bytes(16 * (1 + rng.below(120)));
    layout.tensors.push_back({"", layout.slot_bytes, bytes});
    layout.slot_bytes += bytes;
  }
  return layout;
}

test::Rearrangement any_rearrangement(Rng& rng) {
  const std::size_t experts = 4 + rng.below(20);
  const auto shape = [&](std::size_t ranks, std::size_t layers) {
    return test::PlacementShape{layers, experts, ranks,
                                (experts + ranks - 1) / ranks + rng.below(3)};
  };
  const std::size_t layers = 1 + rng.below(4);
  const std::size_t ranks = 1 + rng.below(6);
  Placement old = test::random_placement(shape(ranks, layers), rng);
  Placement next =
      test::random_placement(shape(rng.below(2) == 0 ? ranks : 1 + rng.below(6), layers), rng);
  ScheduleOptions schedule;
  schedule.direct = rng.below(2) == 0;
  if (rng.below(2) == 0) schedule.batch_bytes = Bytes(rng.below(20'000));
  if (rng.below(3) == 0) schedule.staging_bytes = Bytes(12'000 + rng.below(6000));
  if (rng.below(3) == 0) schedule.chunk_bytes = Bytes(16 + rng.below(4000));
  const std::size_t nodes =
      1 + rng.below(static_cast<std::uint32_t>(std::max(old.ranks(), next.ranks())));
  return test::rearrangement(std::move(old), std::move(next), nodes, any_layout(rng), schedule);
}

ShuffleOptions any_options(Rng& rng) {
  ShuffleOptions options;
  options.buffers = 1 + rng.below(3);
  options.mode = static_cast<ShuffleMode>(rng.below(3));
  if (rng.below(2) == 0) options.pack_below = Bytes(1 << 20);
  return options;
}

/// Spoils a byte of a slot once its layer is live.
class Vandal final : public ShuffleObserver {
 public:
  Vandal(OwnTensors& model, RankId rank) : model_(model), rank_(rank) {}
  void reached(const LayerStep& step) override {
    if (step.rank == rank_ && step.layer == LayerId(0) && step.phase == Phase::kCommitted) {
      *model_.at(rank_, 0, 1, 0) ^= std::byte{0x10};
    }
  }

 private:
  OwnTensors& model_;
  RankId rank_;
};

}  // namespace

TEST_CASE("a caller's own weights arrive, however they lie and are scheduled") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const test::Rearrangement job = any_rearrangement(rng);
    OwnTensors model(job.old, job.next, job.layout.of(0, ExpertId(0)), seed);
    model.fill(job.old);
    const HostWeights weights(model.find());
    ShuffleOptions options = any_options(rng);
    options.weights = &weights;
    const auto world = test::host_world(job.plan.ranks);
    std::size_t verified = 0;
    for (const RankOutcome& rank : run_world(*world, job.job(), options)) {
      INFO((rank.failure ? rank.failure->message() : ""));
      REQUIRE_FALSE(rank.failure);
      CHECK(rank.faults.empty());
      verified += rank.slots_verified;
    }
    CHECK(verified == job.next.layers() * job.next.slots());
    CHECK(model.wrong(job.next) == 0);
  }
}

TEST_CASE("a byte of a caller's weights that is wrong after the commit is found and named") {
  const test::Rearrangement job = test::random_rearrangement(5, 2, 12, 4, 4);
  OwnTensors model(job.old, job.next, job.layout.of(0, ExpertId(0)), 1);
  model.fill(job.old);
  const HostWeights weights(model.find());
  Vandal vandal(model, RankId(2));
  ShuffleOptions options;
  options.weights = &weights;
  options.observers = {&vandal};
  const auto world = test::host_world(4);
  std::vector<SlotFault> faults;
  for (const RankOutcome& rank : run_world(*world, job.job(), options)) {
    faults.insert(faults.end(), rank.faults.begin(), rank.faults.end());
  }
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].rank == RankId(2));
  CHECK(faults[0].layer == LayerId(0));
  CHECK(faults[0].slot == 1);
  CHECK(faults[0].expert == job.next(LayerId(0), SlotId(9)));
}

TEST_CASE("replicas of a caller's expert that differ stop everything before anything moves") {
  const test::Rearrangement job = test::random_rearrangement(6, 1, 6, 4, 4);
  OwnTensors model(job.old, job.next, job.layout.of(0, ExpertId(0)), 1);
  model.fill(job.old);
  const auto holders = job.old.logical_to_physical(LayerId(0));
  const auto doubled = std::find_if(holders.begin(), holders.end(),
                                    [](const auto& slots) { return slots.size() > 1; });
  const SlotId slot = doubled->back();
  *model.at(job.old.rank_of(slot), 0, slot.index() % 4, 0) ^= std::byte{1};
  const HostWeights weights(model.find());
  ShuffleOptions options;
  options.weights = &weights;
  const auto world = test::host_world(4);
  for (const RankOutcome& rank : run_world(*world, job.job(), options)) {
    REQUIRE(rank.failure);
    CHECK(rank.failure->message().find("than another replica") != std::string::npos);
  }
  CHECK(model.wrong(job.old) == 1);
}

TEST_CASE("what does not go with a caller's weights is refused") {
  const test::Rearrangement job = test::random_rearrangement(7, 1, 6, 2, 4);
  OwnTensors model(job.old, job.next, job.layout.of(0, ExpertId(0)), 1);
  const HostWeights weights(model.find());
  const auto refused = [&](auto&& change) {
    ShuffleOptions options;
    options.weights = &weights;
    change(options);
    const auto world = test::host_world(2);
    CHECK_THROWS_AS(run_world(*world, job.job(), options), InputError);
  };
  refused([](ShuffleOptions& options) { options.commit = CommitKind::kFlip; });
  refused([](ShuffleOptions& options) { options.baseline = true; });
}

TEST_CASE("a device's fingerprint is that of the bytes which were read") {
  std::vector<std::byte> bytes(77, std::byte{7});
  const std::byte* asked = nullptr;
  const DeviceWeights weights({}, [&](std::byte* to, const std::byte* from, std::size_t count) {
    asked = from;
    std::copy_n(bytes.data(), count, to);
  });
  std::byte elsewhere{};
  CHECK(weights.fingerprint(&elsewhere, Bytes(77)) == fingerprint_of(bytes));
  CHECK(asked == &elsewhere);
}

TEST_CASE("fingerprints tell every single changed bit") {
  std::vector<std::byte> bytes(77, std::byte{7});
  const std::uint64_t before = fingerprint_of(bytes);
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    bytes[i / 8] ^= std::byte(1U << (i % 8));
    CHECK(fingerprint_of(bytes) != before);
    bytes[i / 8] ^= std::byte(1U << (i % 8));
  }
  CHECK(fingerprint_of(bytes) == before);
  CHECK(fingerprint_of(std::span(bytes).first(76)) != before);
}
