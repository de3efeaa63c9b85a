// SPDX-License-Identifier: Apache-2.0
// The embedded default: every rank is a thread of this process (or a process of its own, on
// request), weights lie in host memory.
#include <string>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/host/free_memory.hpp"
#include "moeshift/execute/host/host_memory.hpp"
#include "moeshift/execute/host/host_transport.hpp"
#include "moeshift/execute/host/process_transport.hpp"
#include "moeshift/execute/host/shared_arena.hpp"
#include "moeshift/execute/world/rendezvous.hpp"
#include "moeshift/execute/world/thread_hub.hpp"

namespace moeshift {
namespace {

/// Where the files of --memory-image are; empty = memory ends with the run.
std::string image_of(const WorldRequest& options) {
  const auto found = options.settings.find("memory-image");
  return found == options.settings.end() ? "" : found->second;
}

class HostWorld final : public World {
 public:
  explicit HostWorld(const WorldRequest& options)
      : hub_(std::make_shared<ThreadHub>(options.ranks)),
        mail_(std::make_shared<HostMailboxes>(options.ranks)),
        arena_(std::make_shared<HostArena>(free_host_memory())),
        image_(image_of(options)) {
    for (const RankId rank : all_ids<RankId>(options.ranks)) ranks_.push_back(rank);
  }

  std::size_t size() const override { return ranks_.size(); }
  std::span<const RankId> local_ranks() const override { return ranks_; }

  Member join(RankId rank, Deadline) override {
    Member member;
    member.control = std::make_unique<ThreadControl>(hub_, rank);
    member.memory = memory_of(rank);
    member.transport = std::make_unique<HostTransport>(hub_, mail_, rank);
    member.idle = [hub = hub_, rank](Seconds at_most) { hub->sleep(rank, at_most); };
    return member;
  }

 private:
  [[nodiscard]] std::unique_ptr<HostMemory> memory_of(RankId rank) const {
    if (image_.empty()) return std::make_unique<HostMemory>(arena_, size());
    return std::make_unique<HostMemory>(
        arena_in_image(arena_->left() / static_cast<std::int64_t>(size()), image_, rank), 1);
  }

  std::shared_ptr<ThreadHub> hub_;
  std::shared_ptr<HostMailboxes> mail_;
  std::shared_ptr<HostArena> arena_;
  std::string image_;
  std::vector<RankId> ranks_;
};

/// This process is one rank; the others are processes of the same machine.
class HostProcess final : public World {
 public:
  explicit HostProcess(const WorldRequest& options)
      : options_(options), place_(*options.place), self_{place_.rank} {}

  std::size_t size() const override { return place_.world; }
  std::span<const RankId> local_ranks() const override { return self_; }

  Member join(RankId rank, Deadline deadline) override {
    Member member;
    member.control = open_process_control(place_, deadline, options_.interrupted);
    const Bytes share = free_host_memory() / static_cast<std::int64_t>(place_.world);
    const std::string image = image_of(options_);
    auto arena =
        image.empty() ? std::make_shared<SharedArena>(share) : arena_in_image(share, image, rank);
    member.memory = std::make_unique<HostMemory>(arena, 1);
    member.transport =
        std::make_unique<ProcessTransport>(*member.control, arena, deadline, options_.interrupted);
    return member;
  }

 private:
  WorldRequest options_;
  ProcessPlace place_;
  std::vector<RankId> self_;
};

std::string always_available() {
  return {};
}

bool wants_processes(const WorldRequest& options) {
  for (const auto& [name, value] : options.settings) {
    if (name != "processes" && name != "threads" && name != "memory-image") {
      throw InputError(name, "the host transport has no such setting");
    }
  }
  return options.settings.contains("processes");
}

Launch launch_host(const WorldRequest& options) {
  return wants_processes(options) && !options.place ? Launch::kSpawn : Launch::kHere;
}

std::unique_ptr<World> open_host(const WorldRequest& options) {
  if (options.ranks == 0) throw InputError("ranks", "expected at least 1");
  if (!wants_processes(options)) return std::make_unique<HostWorld>(options);
  MOESHIFT_CHECK(options.place.has_value());
  if (options.place->world != options.ranks) {
    throw InputError("ranks", std::to_string(options.ranks) + " ranks are wanted, " +
                                  options.place->started_by + " started " +
                                  std::to_string(options.place->world));
  }
  return std::make_unique<HostProcess>(options);
}

}  // namespace

Backend host_backend() {
  return {.name = "host",
          .summary = "ranks are threads, weights in host memory; runs everywhere",
          .unavailable_reason = &always_available,
          .launch = &launch_host,
          .open = &open_host,
          .spans_processes = false};
}

}  // namespace moeshift
