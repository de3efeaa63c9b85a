// SPDX-License-Identifier: Apache-2.0
// The embedded default: every rank is a thread of this process, weights lie in host memory.
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/host_memory.hpp"
#include "moeshift/execute/host_transport.hpp"
#include "moeshift/execute/thread_hub.hpp"

namespace moeshift {
namespace {

class HostWorld final : public World {
 public:
  explicit HostWorld(std::size_t ranks)
      : hub_(std::make_shared<ThreadHub>(ranks)),
        mail_(std::make_shared<HostMailboxes>(ranks)),
        arena_(std::make_shared<HostArena>(available_host_memory())) {
    for (const RankId rank : all_ids<RankId>(ranks)) ranks_.push_back(rank);
  }

  std::size_t size() const override { return ranks_.size(); }
  std::span<const RankId> local_ranks() const override { return ranks_; }

  Member join(RankId rank, Deadline) override {
    Member member;
    member.control = std::make_unique<ThreadControl>(hub_, rank);
    member.memory = std::make_unique<HostMemory>(arena_, size());
    member.transport = std::make_unique<HostTransport>(hub_, mail_, rank);
    member.idle = [hub = hub_, rank](Seconds at_most) { hub->sleep(rank, at_most); };
    return member;
  }

 private:
  std::shared_ptr<ThreadHub> hub_;
  std::shared_ptr<HostMailboxes> mail_;
  std::shared_ptr<HostArena> arena_;
  std::vector<RankId> ranks_;
};

std::string always_available() {
  return {};
}

Launch in_this_process(const WorldOptions&) {
  return Launch::kHere;
}

std::unique_ptr<World> open_host(const WorldOptions& options) {
  if (options.ranks == 0) throw InputError("--ranks", "expected at least 1");
  if (!options.settings.empty()) {
    throw InputError("--" + options.settings.begin()->first,
                     "the host transport has no such setting");
  }
  return std::make_unique<HostWorld>(options.ranks);
}

}  // namespace

Backend host_backend() {
  return {.name = "host",
          .summary = "ranks are threads, weights in host memory; runs everywhere",
          .unavailable_reason = &always_available,
          .launch = &in_this_process,
          .open = &open_host,
          .spans_processes = false};
}

}  // namespace moeshift
