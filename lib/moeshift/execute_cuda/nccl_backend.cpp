// SPDX-License-Identifier: Apache-2.0
// The nccl row of the transport table.
#include <string>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/collective_load.hpp"
#include "moeshift/execute_cuda/cuda_world.hpp"
#include "moeshift/execute_cuda/nccl_check.hpp"
#include "moeshift/execute_cuda/nccl_environment.hpp"
#include "moeshift/execute_cuda/nccl_log.hpp"
#include "moeshift/execute_cuda/nccl_transport.hpp"

namespace moeshift {
namespace {

/// The first NCCL that lets ranks share a GPU by itself (NCCL_MULTI_RANK_GPU_ENABLE).
constexpr int kSharesGpus = NCCL_VERSION(2, 30, 3);

/// Groups below this cost more to start than to send.
constexpr Bytes kJoinBelow(std::int64_t{64} << 20U);

CudaSettings settings_of(const WorldRequest& options) {
  return read_cuda_settings(options, {"threads", "processes", "ranks-per-gpu", "max-ctas",
                                      "commit-ctas", "register", "mps"});
}

std::byte* allocate_nccl_block(Bytes bytes) {
  void* start = nullptr;
  check(ncclMemAlloc(&start, static_cast<std::size_t>(bytes.count())));
  return static_cast<std::byte*>(start);
}

void release_nccl_block(std::byte* start) noexcept {
  (void)ncclMemFree(start);
}

class NcclWorld final : public CudaWorld {
 public:
  NcclWorld(const WorldRequest& options, const CudaSettings& settings, std::unique_ptr<NcclLog> log)
      : CudaWorld(options, settings), timeout_(options.timeout), log_(std::move(log)) {}

  [[nodiscard]] Facts facts() const override {
    Facts result = cuda_facts();
    result.emplace_back("nccl_header", nccl_header_version());
    result.emplace_back("nccl_library", nccl_library_version());
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
  CudaMemoryOptions memory_options() const override {
    CudaMemoryOptions options = CudaWorld::memory_options();
    if (settings().register_blocks) {
      options.source = {.allocate = &allocate_nccl_block, .release = &release_nccl_block};
    }
    return options;
  }

  std::unique_ptr<Transport> open_transport(ControlPlane& control, CudaMemory& memory,
                                            Deadline deadline) override {
    auto communicator =
        join_communicator(control, {.name = "moeshift", .max_ctas = settings().max_ctas}, deadline);
    const TransportTraits traits =
        nccl_traits(common_messages_per_group(control, log_->text(), deadline));
    return std::make_unique<NcclTransport>(std::move(communicator),
                                           settings().register_blocks ? &memory : nullptr, traits);
  }

  std::unique_ptr<Foreground> open_foreground(ForegroundKind kind, Seconds step,
                                              ControlPlane& control) override {
    if (kind != ForegroundKind::kCollective) return CudaWorld::open_foreground(kind, step, control);
    return make_collective_foreground(control, Deadline::in(timeout_));
  }

  Seconds timeout_;
  std::unique_ptr<NcclLog> log_;
};

/// Lets ranks share a GPU, by the library's own means or by making each its own host.
void prepare_shared_gpu(const WorldRequest& options, const CudaSettings& settings) {
  if (settings.ranks_per_gpu == 1) return;
  if (nccl_library_code() >= kSharesGpus) {
    set_environment({{"NCCL_MULTI_RANK_GPU_ENABLE", "1"}});
    return;
  }
  if (!options.place && options.ranks > 1) {
    throw InputError("threads", "NCCL " + nccl_library_version() +
                                    " refuses two ranks of one process on one GPU; run them as "
                                    "processes, or use NCCL 2.30.3 or newer");
  }
  if (options.place) {
    set_environment(shared_gpu_environment(options.place->rank, options.place->world));
  }
}

Launch launch_nccl(const WorldRequest& options) {
  const CudaSettings settings = settings_of(options);
  const bool here = options.place || settings.threads || options.ranks == 1;
  return here ? Launch::kHere : Launch::kSpawn;
}

std::unique_ptr<World> open_nccl(const WorldRequest& options) {
  const CudaSettings settings = settings_of(options);
  auto log = std::make_unique<NcclLog>();
  prepare_shared_gpu(options, settings);
  return std::make_unique<NcclWorld>(options, settings, std::move(log));
}

std::string found_nccl() {
  return found_cuda() + ", NCCL " + nccl_library_version() + " (built with " +
         nccl_header_version() + ")";
}

Escort escort_nccl(const WorldRequest& options) {
  return escort_of(settings_of(options));
}

}  // namespace

Backend nccl_backend() {
  return {.name = "nccl",
          .summary = "ncclSend and ncclRecv groups on a non-blocking communicator of its own",
          .unavailable_reason = &cuda_unavailable_reason,
          .launch = &launch_nccl,
          .open = &open_nccl,
          .found = &found_nccl,
          .join_below = kJoinBelow,
          .pack_below = nccl_traits(1).pack_below,
          .sets_of_small_batches = 4,
          .escort = &escort_nccl};
}

}  // namespace moeshift
