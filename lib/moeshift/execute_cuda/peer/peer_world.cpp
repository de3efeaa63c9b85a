// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/peer/peer_world.hpp"

#include <array>
#include <utility>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/nccl/between_nodes.hpp"
#include "moeshift/execute_cuda/nccl/collective_load.hpp"
#include "moeshift/execute_cuda/peer/auto_transport.hpp"
#include "moeshift/execute_cuda/peer/peer_memory_transport.hpp"
#include "moeshift/execute_cuda/world/accelerator_world.hpp"

namespace moeshift {
namespace {

/// Where copy engines are asked for and ranks share a GPU.
constexpr std::size_t kNearBlocks = 32;

/// From here on copy engines that push were faster than stores of eight blocks, below them slower
/// (docs/gpu.md: 1.4 MB 627 against 556 GB/s, 170 KB 130 against 449).
constexpr Bytes kEnginesFrom(std::int64_t{1} << 20U);

/// The load's ranks meet within this.
constexpr Seconds kCollectiveDeadline{30.0};

AcceleratorSettings settings_of(const Platform& platform, const WorldRequest& options) {
  return read_accelerator_settings(
      platform, options,
      {"threads", "processes", "ranks-per-gpu", "max-ctas", "commit-ctas", "mps"});
}

class PeerMemoryWorld : public AcceleratorWorld {
 public:
  PeerMemoryWorld(const Platform& platform, const WorldRequest& options,
                  const AcceleratorSettings& settings, PeerCopy how)
      : AcceleratorWorld(platform, options, settings), how_(how) {}

  [[nodiscard]] Facts facts() const override {
    Facts result = platform().runtime->versions();
    for (const auto& fact : mps_facts()) result.push_back(fact);
    if (how_ == PeerCopy::kStores) {
      result.emplace_back("storing_blocks", std::to_string(blocks()));
    }
    return result;
  }

 protected:
  [[nodiscard]] std::size_t blocks() const {
    return settings().max_ctas.value_or(how_ == PeerCopy::kStores ? kStoringBlocks : kNearBlocks);
  }

 private:
  std::unique_ptr<Foreground> open_foreground(ForegroundKind kind, Seconds step,
                                              ControlPlane& control) override {
    if (kind != ForegroundKind::kCollective)
      return AcceleratorWorld::open_foreground(kind, step, control);
    if (settings().ranks_per_gpu > 1) {
      throw InputError("foreground",
                       "a collective load beside this transport needs a GPU for every rank");
    }
    return make_collective_foreground(platform(), control, Deadline::in(kCollectiveDeadline));
  }

  std::unique_ptr<Transport> open_transport(ControlPlane& control, AcceleratorMemory& memory,
                                            Deadline deadline) override {
    return std::make_unique<PeerMemoryTransport>(control, memory, how_,
                                                 static_cast<unsigned>(blocks()), deadline);
  }

  PeerCopy how_;
};

/// In whose memory every rank finds itself, and who carries what.
class AutoWorld final : public PeerMemoryWorld {
 public:
  AutoWorld(const Platform& platform, const WorldRequest& options,
            const AcceleratorSettings& settings)
      : PeerMemoryWorld(platform, options, settings, PeerCopy::kStores),
        nodes_(nodes_of(options, settings)),
        engines_from_(settings.engines_from.value_or(kEnginesFrom)) {
    if (settings.nodes == 1) return;
    const std::optional<ProcessPlace>& place = options.place;
    if (!place || place->local_world < place->world) {
      between_ = prepare_between_nodes(platform, settings, {});
    } else if (settings.ranks_per_gpu > 1) {
      // NCCL wants every rank of a GPU to be a host of its own.
      between_ = prepare_between_nodes(platform, settings,
                                       "moeshift-rank-" + std::to_string(place->rank.value()));
    } else {
      between_ = prepare_between_nodes(
          platform, settings, "moeshift-node-" + std::to_string(nodes_[place->rank.index()]));
    }
  }

  [[nodiscard]] Facts facts() const override {
    Facts result = PeerMemoryWorld::facts();
    result.emplace_back("within_a_node", "ce from " + std::to_string(engines_from_.count()) +
                                             " bytes per expert, peer below");
    for (std::size_t i = 0; i < kCarriers; ++i) {
      result.emplace_back("sent_by_" + std::string(name_of(static_cast<Carrier>(i))),
                          std::to_string(carried_->bytes[i]) + " bytes from this process");
    }
    if (!between_) return result;
    for (const auto& fact : between_->facts()) result.push_back(fact);
    return result;
  }

 private:
  /// Ranks fill node after node, as Topology has them.
  static std::vector<std::uint32_t> nodes_of(const WorldRequest& options,
                                             const AcceleratorSettings& settings) {
    const std::size_t ranks = options.place ? options.place->world : options.ranks;
    const std::size_t each = (ranks + settings.nodes - 1) / settings.nodes;
    std::vector<std::uint32_t> nodes;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      nodes.push_back(static_cast<std::uint32_t>(rank / each));
    }
    return nodes;
  }

  std::unique_ptr<Transport> open_transport(ControlPlane& control, AcceleratorMemory& memory,
                                            Deadline deadline) override {
    const auto within = [&](PeerCopy how) {
      return std::make_unique<PeerMemoryTransport>(control, memory, how,
                                                   static_cast<unsigned>(blocks()), deadline);
    };
    std::array<std::unique_ptr<Transport>, kCarriers> carriers;
    carriers[0] = within(PeerCopy::kCopyEngines);
    carriers[1] = within(PeerCopy::kStores);
    if (between_) carriers[2] = between_->open(control, deadline);
    return std::make_unique<AutoTransport>(
        control.self(), AutoTransport::Route{nodes_, engines_from_}, std::move(carriers), carried_);
  }

  std::vector<std::uint32_t> nodes_;  ///< [ranks]
  Bytes engines_from_;
  std::unique_ptr<BetweenNodes> between_;  ///< null: one node
  std::shared_ptr<Carried> carried_ = std::make_shared<Carried>();
};

AcceleratorSettings auto_settings_of(const Platform& platform, const WorldRequest& options) {
  return read_accelerator_settings(platform, options,
                                   {"threads", "processes", "ranks-per-gpu", "max-ctas",
                                    "commit-ctas", "mps", "nodes", "engines-from"});
}

}  // namespace

/// Threads unless asked for processes: one process needs no CUDA IPC and no time slicing.
Launch launch_peers(const Platform& platform, const WorldRequest& options) {
  const AcceleratorSettings settings = settings_of(platform, options);
  return settings.processes && !options.place ? Launch::kSpawn : Launch::kHere;
}

std::unique_ptr<World> open_peers(const Platform& platform, PeerCopy how,
                                  const WorldRequest& options) {
  return std::make_unique<PeerMemoryWorld>(platform, options, settings_of(platform, options), how);
}

Escort escort_peers(const Platform& platform, const WorldRequest& options) {
  return escort_of(settings_of(platform, options));
}

/// Ranks of several nodes on one machine pass for strangers only as processes.
Launch launch_auto(const Platform& platform, const WorldRequest& options) {
  const AcceleratorSettings settings = auto_settings_of(platform, options);
  const bool apart = settings.processes || (settings.nodes > 1 && options.ranks > 1);
  return apart && !options.place ? Launch::kSpawn : Launch::kHere;
}

std::unique_ptr<World> open_auto(const Platform& platform, const WorldRequest& options) {
  return std::make_unique<AutoWorld>(platform, options, auto_settings_of(platform, options));
}

Escort escort_auto(const Platform& platform, const WorldRequest& options) {
  return escort_of(auto_settings_of(platform, options));
}

std::string found_peers(const Platform& platform) {
  return found_devices(*platform.runtime);
}

}  // namespace moeshift
