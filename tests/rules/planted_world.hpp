// SPDX-License-Identifier: Apache-2.0
// A world in which one rank has a bug: its seams are wrapped, and what passes is changed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/forwarding_memory.hpp"

namespace moeshift::test {

/// Where a bug acted: what its rank was about (the names of its open ranges), and which ranks it
/// concerns. Written by the rank, read by all.
class Spot {
 public:
  void opened(std::uint64_t range, const std::string& name) { open_.emplace_back(range, name); }
  void closed(std::uint64_t range) {
    std::erase_if(open_, [&](const auto& open) { return open.first == range; });
  }
  /// A bug that acts several times is marked each time: any of them may be the one that is found.
  void mark(std::vector<RankId> ranks) {
    const std::lock_guard lock(mutex_);
    ranks_ = std::move(ranks);
    for (const auto& [range, name] : open_) within_.push_back(name);
  }
  [[nodiscard]] bool concerns(RankId rank) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::find(ranks_, rank) != ranks_.end();
  }
  /// @param layer "layer 3"
  [[nodiscard]] bool was_in(const std::string& layer) const {
    const std::lock_guard lock(mutex_);
    return !layer.empty() && std::ranges::any_of(within_, [&](const std::string& name) {
      return name.ends_with(" " + layer);
    });
  }

 private:
  std::vector<std::pair<std::uint64_t, std::string>> open_;  ///< of the rank alone
  mutable std::mutex mutex_;
  std::vector<RankId> ranks_;
  std::vector<std::string> within_;
};

/// What the faulty rank does otherwise; what is empty is done as it should be.
struct Plant {
  RankId rank;
  /// Exchanges that take the place of one: called with the number of the exchange, from 0.
  std::function<std::vector<std::vector<Message>>(std::size_t number,
                                                  std::vector<Message> messages)>
      exchange = {};
  /// Commits that take the place of one: called with its number. Nothing left: none.
  std::function<std::vector<CopyRequest>(std::size_t number, std::vector<CopyRequest> copies)>
      commit = {};
  bool commits_seem_done = false;  ///< as soon as they are started
  /// What the rank says instead in a gathering.
  std::function<std::string(std::string said)> say = {};
  bool hears_only_itself =
      false;  ///< takes every vote for unanimous as soon as it has cast its own
  /// What has arrived is not taken notice of as long as this says so.
  std::function<bool()> holds = {};
  std::shared_ptr<Spot> spot = std::make_shared<Spot>();
};

/// Several pieces of work, or none.
class AllOf final : public Pending {
 public:
  explicit AllOf(std::vector<std::unique_ptr<Pending>> parts, std::function<bool()> holds = {})
      : parts_(std::move(parts)), holds_(std::move(holds)) {}
  [[nodiscard]] bool poll() override {
    bool done = true;
    for (const auto& part : parts_) done &= part->poll();
    return done && !(holds_ && holds_());
  }

 private:
  std::vector<std::unique_ptr<Pending>> parts_;
  std::function<bool()> holds_;
};

class PlantedTransport final : public Transport {
 public:
  PlantedTransport(std::unique_ptr<Transport> inner, const Plant& plant)
      : inner_(std::move(inner)), plant_(plant) {}
  [[nodiscard]] TransportTraits traits() const override { return inner_->traits(); }
  void connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
               Deadline deadline) override {
    inner_->connect(send_to, receive_from, deadline);
  }
  [[nodiscard]] std::unique_ptr<Pending> exchange(std::span<const Message> messages) override {
    std::vector<std::vector<Message>> all = {{messages.begin(), messages.end()}};
    if (plant_.exchange) all = plant_.exchange(number_++, std::move(all.front()));
    std::vector<std::unique_ptr<Pending>> parts;
    for (const auto& part : all) {
      if (!part.empty()) parts.push_back(inner_->exchange(part));
    }
    return std::make_unique<AllOf>(std::move(parts), plant_.holds);
  }
  void abort() noexcept override { inner_->abort(); }
  void close(Deadline deadline) override { inner_->close(deadline); }

 private:
  std::unique_ptr<Transport> inner_;
  Plant plant_;
  std::size_t number_ = 0;
};

class PlantedMemory final : public ForwardingMemory {
 public:
  PlantedMemory(std::unique_ptr<DeviceMemory> inner, const Plant& plant)
      : ForwardingMemory(std::move(inner)), plant_(plant) {}
  [[nodiscard]] std::unique_ptr<Pending> copy(std::span<const CopyRequest> copies,
                                              CopyLane lane) override {
    if (lane == CopyLane::kStage) return inner().copy(copies, lane);
    std::vector<CopyRequest> kept(copies.begin(), copies.end());
    if (plant_.commit) kept = plant_.commit(commits_++, std::move(kept));
    auto work = inner().copy(kept, lane);
    if (!plant_.commits_seem_done) return work;
    forgotten_.push_back(std::move(work));
    return std::make_unique<AllOf>(std::vector<std::unique_ptr<Pending>>{});
  }

 private:
  Plant plant_;
  std::size_t commits_ = 0;
  std::vector<std::unique_ptr<Pending>> forgotten_;
};

class PlantedControl final : public ControlPlane {
 public:
  PlantedControl(std::unique_ptr<ControlPlane> inner, const Plant& plant)
      : inner_(std::move(inner)), plant_(plant) {}
  [[nodiscard]] RankId self() const override { return inner_->self(); }
  [[nodiscard]] std::size_t size() const override { return inner_->size(); }
  [[nodiscard]] std::unique_ptr<Gathering> all_gather(std::string_view mine) override {
    std::string said(mine);
    if (plant_.say) said = plant_.say(std::move(said));
    const bool vote = !said.empty() && said.find_first_not_of("0123456789") == std::string::npos;
    if (!plant_.hears_only_itself || !vote) {
      return std::make_unique<Later>(behind_, *inner_, said);
    }
    behind_ = inner_->all_gather(said);
    return std::make_unique<Alone>(std::vector<std::string>(size(), said));
  }
  void fail(const Failure& failure) noexcept override { inner_->fail(failure); }
  [[nodiscard]] std::optional<Failure> failure() const override { return inner_->failure(); }
  void close() noexcept override { inner_->close(); }

 private:
  class Alone final : public Gathering {
   public:
    explicit Alone(std::vector<std::string> values) : values_(std::move(values)) {}
    [[nodiscard]] bool poll() override { return true; }
    [[nodiscard]] const std::vector<std::string>& values() const override { return values_; }

   private:
    std::vector<std::string> values_;
  };
  /// One gathering is under way at a time: starts when the vote that nobody waited for is over.
  class Later final : public Gathering {
   public:
    Later(std::unique_ptr<Gathering>& behind, ControlPlane& control, std::string said)
        : behind_(behind), control_(control), said_(std::move(said)) {
      (void)start();
    }
    [[nodiscard]] bool poll() override { return start() && inner_->poll(); }
    [[nodiscard]] const std::vector<std::string>& values() const override {
      return inner_->values();
    }

   private:
    bool start() {
      if (inner_) return true;
      if (behind_ && !behind_->poll()) return false;
      behind_.reset();
      inner_ = control_.all_gather(said_);
      return true;
    }

    std::unique_ptr<Gathering>& behind_;
    ControlPlane& control_;
    std::string said_;
    std::unique_ptr<Gathering> inner_;
  };

  std::unique_ptr<ControlPlane> inner_;
  Plant plant_;
  std::unique_ptr<Gathering> behind_;
};

class PlantedWorld final : public World {
 public:
  PlantedWorld(std::unique_ptr<World> world, std::vector<Plant> plants)
      : world_(std::move(world)), plants_(std::move(plants)) {}
  [[nodiscard]] std::size_t size() const override { return world_->size(); }
  [[nodiscard]] std::span<const RankId> local_ranks() const override {
    return world_->local_ranks();
  }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override {
    Member member = world_->join(rank, deadline);
    for (const Plant& plant : plants_) {
      if (rank == plant.rank) put(plant, member);
    }
    return member;
  }

 private:
  static void put(const Plant& plant, Member& member) {
    member.control = std::make_unique<PlantedControl>(std::move(member.control), plant);
    member.memory = std::make_unique<PlantedMemory>(std::move(member.memory), plant);
    member.transport = std::make_unique<PlantedTransport>(std::move(member.transport), plant);
    member.range_begin = [begin = member.range_begin, spot = plant.spot](const std::string& name) {
      const std::uint64_t range = begin(name);
      spot->opened(range, name);
      return range;
    };
    member.range_end = [end = member.range_end, spot = plant.spot](std::uint64_t range) {
      spot->closed(range);
      end(range);
    };
  }

  std::unique_ptr<World> world_;
  std::vector<Plant> plants_;
};

}  // namespace moeshift::test
