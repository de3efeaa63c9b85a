// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <mutex>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/caller_weights.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/worlds.hpp"

using namespace moeshift;

namespace {

/// Tensors of a caller, each in memory of its own.
class Model {
 public:
  Model(const test::Rearrangement& job, std::uint64_t seed)
      : layout_(job.layout.of(0, ExpertId(0))),
        slots_per_rank_(std::max(job.old.slots_per_rank(), job.next.slots_per_rank())),
        layers_(job.old.layers()),
        seed_(seed) {
    const std::size_t ranks = std::max(job.old.ranks(), job.next.ranks());
    tensors_.resize(ranks * layers_ * slots_per_rank_ * layout_.tensors.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const TensorRange& tensor = layout_.tensors[i % layout_.tensors.size()];
      tensors_[i].assign(static_cast<std::size_t>(tensor.bytes.count()), std::byte{0xAB});
    }
  }

  std::byte* at(RankId rank, std::size_t layer, std::size_t slot, std::size_t t) {
    const std::size_t row = (rank.index() * layers_ + layer) * slots_per_rank_ + slot;
    return tensors_[row * layout_.tensors.size() + t].data();
  }

  void fill(const Placement& placement) {
    visit(placement, [&](std::size_t layer, ExpertId expert, std::size_t t, std::byte* start) {
      Rng rng(seed_ + (layer * 1000 + expert.index()) * 8 + t);
      for (std::int64_t i = 0; i < layout_.tensors[t].bytes.count(); ++i) {
        start[i] = static_cast<std::byte>(rng.below(256));
      }
    });
  }

  /// Tensors that do not hold their expert, compared without the engine.
  std::size_t wrong(const Placement& placement) {
    std::size_t count = 0;
    visit(placement, [&](std::size_t layer, ExpertId expert, std::size_t t, std::byte* start) {
      Rng rng(seed_ + (layer * 1000 + expert.index()) * 8 + t);
      bool equal = true;
      for (std::int64_t i = 0; i < layout_.tensors[t].bytes.count(); ++i) {
        equal = static_cast<std::byte>(rng.below(256)) == start[i] && equal;
      }
      count += equal ? 0U : 1U;
    });
    return count;
  }

  HostWeights weights() {
    return HostWeights([this](RankId rank, std::size_t layer, std::size_t slot, std::size_t t) {
      return at(rank, layer, slot, t);
    });
  }

 private:
  template <class Visit>
  void visit(const Placement& placement, const Visit& visit) {
    for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
      for (const SlotId slot : all_ids<SlotId>(placement.slots())) {
        const ExpertId expert = placement(layer, slot);
        if (expert.is_none()) continue;
        const std::size_t own = slot.index() % placement.slots_per_rank();
        for (std::size_t t = 0; t < layout_.tensors.size(); ++t) {
          visit(layer.index(), expert, t, at(placement.rank_of(slot), layer.index(), own, t));
        }
      }
    }
  }

  SlotLayout layout_;
  std::size_t slots_per_rank_;
  std::size_t layers_;
  std::uint64_t seed_;
  std::vector<std::vector<std::byte>> tensors_;
};

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
  Vandal(Model& model, RankId rank) : model_(model), rank_(rank) {}
  void reached(const LayerStep& step) override {
    if (step.rank == rank_ && step.layer == LayerId(0) && step.phase == Phase::kCommitted) {
      *model_.at(rank_, 0, 1, 0) ^= std::byte{0x10};
    }
  }

 private:
  Model& model_;
  RankId rank_;
};

}  // namespace

TEST_CASE("a caller's own weights arrive, however they lie and are scheduled") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const test::Rearrangement job = any_rearrangement(rng);
    Model model(job, seed);
    model.fill(job.old);
    const HostWeights weights = model.weights();
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
  Model model(job, 1);
  model.fill(job.old);
  const HostWeights weights = model.weights();
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
  Model model(job, 1);
  model.fill(job.old);
  const auto holders = job.old.logical_to_physical(LayerId(0));
  const auto doubled = std::find_if(holders.begin(), holders.end(),
                                    [](const auto& slots) { return slots.size() > 1; });
  const SlotId slot = doubled->back();
  *model.at(job.old.rank_of(slot), 0, slot.index() % 4, 0) ^= std::byte{1};
  const HostWeights weights = model.weights();
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
  Model model(job, 1);
  const HostWeights weights = model.weights();
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
