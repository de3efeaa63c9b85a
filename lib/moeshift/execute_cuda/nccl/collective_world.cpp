// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/nccl/collective_world.hpp"

#include <memory>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/nccl/collective_load.hpp"
#include "moeshift/execute_cuda/nccl/nccl_environment.hpp"
#include "moeshift/execute_cuda/nccl/nccl_log.hpp"
#include "moeshift/execute_cuda/nccl/nccl_transport.hpp"
#include "moeshift/execute_cuda/world/accelerator_world.hpp"

namespace moeshift {
namespace {

/// The first NCCL that lets ranks share a GPU by itself (NCCL_MULTI_RANK_GPU_ENABLE).
constexpr int kSharesGpus = 23003;

AcceleratorSettings settings_of(const Platform& platform, const WorldRequest& options) {
  return read_accelerator_settings(
      platform, options,
      {"threads", "processes", "ranks-per-gpu", "max-ctas", "commit-ctas", "register", "mps"});
}

class NcclWorld final : public AcceleratorWorld {
 public:
  NcclWorld(const Platform& platform, const WorldRequest& options,
            const AcceleratorSettings& settings, std::unique_ptr<NcclLog> log)
      : AcceleratorWorld(platform, options, settings),
        timeout_(options.timeout),
        log_(std::move(log)) {}

  [[nodiscard]] Facts facts() const override {
    Facts result = platform().runtime->versions();
    result.emplace_back("nccl_library", library().version_text());
    if (settings().ranks_per_gpu > 1) {
      result.emplace_back("ranks_per_gpu",
                          std::to_string(settings().ranks_per_gpu) +
                              ": bandwidth here is not that of a link between GPUs");
    }
    for (const auto& fact : mps_facts()) result.push_back(fact);
    for (const auto& fact : facts_of_nccl_log(log_->text())) result.push_back(fact);
    for (const auto& variable : nccl_environment()) result.push_back(variable);
    return result;
  }

 private:
  [[nodiscard]] const CollectiveLibrary& library() const { return *platform().collectives; }

  AcceleratorMemoryOptions memory_options() const override {
    AcceleratorMemoryOptions options = AcceleratorWorld::memory_options();
    if (settings().register_blocks) {
      const CollectiveLibrary* const from = &library();
      options.source = {.allocate =
                            [from](Bytes bytes) {
                              void* start = nullptr;
                              from->check(from->calls().allocate(
                                  &start, static_cast<std::size_t>(bytes.count())));
                              return static_cast<std::byte*>(start);
                            },
                        .release = [from](std::byte* start) { (void)from->calls().free(start); }};
    }
    return options;
  }

  std::unique_ptr<Transport> open_transport(ControlPlane& control, AcceleratorMemory& memory,
                                            Deadline deadline) override {
    auto communicator = join_communicator(
        control, library(), {.name = "moeshift", .max_ctas = settings().max_ctas}, deadline);
    const TransportTraits traits =
        nccl_traits(common_messages_per_group(control, log_->text(), deadline));
    return std::make_unique<NcclTransport>(*platform().runtime, std::move(communicator),
                                           settings().register_blocks ? &memory : nullptr, traits);
  }

  std::unique_ptr<Foreground> open_foreground(ForegroundKind kind, Seconds step,
                                              ControlPlane& control) override {
    if (kind != ForegroundKind::kCollective)
      return AcceleratorWorld::open_foreground(kind, step, control);
    return make_collective_foreground(platform(), control, Deadline::in(timeout_));
  }

  Seconds timeout_;
  std::unique_ptr<NcclLog> log_;
};

/// Lets ranks share a GPU, by the library's own means or by making each its own host.
void prepare_shared_gpu(const CollectiveLibrary& library, const WorldRequest& options,
                        const AcceleratorSettings& settings) {
  if (settings.ranks_per_gpu == 1) return;
  if (library.version() >= kSharesGpus) {
    set_environment({{"NCCL_MULTI_RANK_GPU_ENABLE", "1"}});
    return;
  }
  if (!options.place && options.ranks > 1) {
    throw InputError("threads", library.name() + " " + library.version_text() +
                                    " refuses two ranks of one process on one GPU; run them as "
                                    "processes, or use one of 2.30.3 or newer");
  }
  if (options.place) {
    set_environment(shared_gpu_environment(options.place->rank, options.place->world));
  }
}

}  // namespace

std::string collective_unavailable_reason(const Platform& platform) {
  std::string reason = platform.runtime->unavailable_reason();
  return reason.empty() ? platform.collectives->missing() : reason;
}

Launch launch_collective(const Platform& platform, const WorldRequest& options) {
  const AcceleratorSettings settings = settings_of(platform, options);
  const bool here = options.place || settings.threads || options.ranks == 1;
  return here ? Launch::kHere : Launch::kSpawn;
}

std::unique_ptr<World> open_collective(const Platform& platform, const WorldRequest& options) {
  const AcceleratorSettings settings = settings_of(platform, options);
  auto log = std::make_unique<NcclLog>();
  prepare_shared_gpu(*platform.collectives, options, settings);
  return std::make_unique<NcclWorld>(platform, options, settings, std::move(log));
}

std::string found_collective(const Platform& platform) {
  return found_devices(*platform.runtime) + ", " + platform.collectives->name() + " " +
         platform.collectives->version_text();
}

Escort escort_collective(const Platform& platform, const WorldRequest& options) {
  return escort_of(settings_of(platform, options));
}

TransportTraits collective_traits() {
  return nccl_traits(1);
}

}  // namespace moeshift
