// SPDX-License-Identifier: Apache-2.0
// A world in which one rank has a bug: its seams are wrapped, and what passes is changed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/forwarding_memory.hpp"

namespace moeshift::test {

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
};

/// Several pieces of work, or none.
class AllOf final : public Pending {
 public:
  explicit AllOf(std::vector<std::unique_ptr<Pending>> parts) : parts_(std::move(parts)) {}
  [[nodiscard]] bool poll() override {
    bool done = true;
    for (const auto& part : parts_) done &= part->poll();
    return done;
  }

 private:
  std::vector<std::unique_ptr<Pending>> parts_;
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
    if (!plant_.exchange) return inner_->exchange(messages);
    std::vector<std::unique_ptr<Pending>> parts;
    for (const auto& part : plant_.exchange(number_++, {messages.begin(), messages.end()})) {
      if (!part.empty()) parts.push_back(inner_->exchange(part));
    }
    return std::make_unique<AllOf>(std::move(parts));
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
    if (lane != CopyLane::kCommit) return inner().copy(copies, lane);
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
  PlantedWorld(std::unique_ptr<World> world, Plant plant)
      : world_(std::move(world)), plant_(std::move(plant)) {}
  [[nodiscard]] std::size_t size() const override { return world_->size(); }
  [[nodiscard]] std::span<const RankId> local_ranks() const override {
    return world_->local_ranks();
  }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override {
    Member member = world_->join(rank, deadline);
    if (rank != plant_.rank) return member;
    member.control = std::make_unique<PlantedControl>(std::move(member.control), plant_);
    member.memory = std::make_unique<PlantedMemory>(std::move(member.memory), plant_);
    member.transport = std::make_unique<PlantedTransport>(std::move(member.transport), plant_);
    return member;
  }

 private:
  std::unique_ptr<World> world_;
  Plant plant_;
};

}  // namespace moeshift::test
