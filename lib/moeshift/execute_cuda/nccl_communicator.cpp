// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/nccl_communicator.hpp"

#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/gather.hpp"
#include "moeshift/execute_cuda/nccl_check.hpp"

namespace moeshift {
namespace {

/// commName came with NCCL 2.27.3; older headers lack the field.
template <class Config>
void set_name(Config& config, const std::string& name) {
  if constexpr (requires { config.commName; }) config.commName = name.c_str();
}

std::string version_text(int code) {
  return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

}  // namespace

NcclCommunicator::NcclCommunicator(const ncclUniqueId& id, RankId self, std::size_t ranks,
                                   const NcclOptions& options, Deadline deadline)
    : ranks_(ranks) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  set_name(config, options.name);
  if (options.max_ctas) {
    config.minCTAs = 1;
    config.maxCTAs = static_cast<int>(*options.max_ctas);
  }
  ncclComm_t communicator = nullptr;
  const ncclResult_t result = ncclCommInitRankConfig(&communicator, static_cast<int>(ranks), id,
                                                     static_cast<int>(self.value()), &config);
  communicator_.reset(communicator);
  try {
    check(result);
    wait_until_issued(deadline, "joining the peers");
  } catch (const DeviceError&) {
    abort();
    throw;
  }
}

bool NcclCommunicator::issued() const {
  ncclResult_t state = ncclSuccess;
  check(ncclCommGetAsyncError(get(), &state), get());
  check(state, get());
  return state == ncclSuccess;
}

void NcclCommunicator::wait_until_issued(Deadline deadline, std::string_view doing) const {
  while (!issued()) {
    if (deadline.expired()) {
      throw DeviceError(fmt::format("NCCL: no answer within {:.1f} s while {}",
                                    deadline.allowance().count(), doing));
    }
    std::this_thread::yield();
  }
}

void NcclCommunicator::abort(Seconds limit) noexcept {
  if (!communicator_) return;
  // Aborting joins NCCL's own threads and has been seen to hang: do it beside us, with a limit.
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> finished = done->get_future();
  std::thread([raw = communicator_.release(), done] {
    (void)ncclCommAbort(raw);
    done->set_value();
  }).detach();
  (void)finished.wait_for(std::chrono::duration<double>(limit.count()));
}

void NcclCommunicator::close(Deadline deadline) {
  check(ncclCommFinalize(get()), get());
  wait_until_issued(deadline, "taking leave of the peers");
  check(ncclCommDestroy(communicator_.release()));
}

std::unique_ptr<NcclCommunicator> join_communicator(ControlPlane& control,
                                                    const NcclOptions& options, Deadline deadline) {
  std::string text;
  ncclUniqueId id{};
  if (control.self() == RankId(0)) {
    check(ncclGetUniqueId(&id));
    text.assign(id.internal, sizeof(id.internal));
  }
  text = gather(control, text, deadline).front();
  MOESHIFT_CHECK(text.size() == sizeof(id.internal));
  std::memcpy(id.internal, text.data(), text.size());
  return std::make_unique<NcclCommunicator>(id, control.self(), control.size(), options, deadline);
}

std::string nccl_header_version() {
  return version_text(NCCL_VERSION_CODE);
}

int nccl_library_code() {
  int code = 0;
  check(ncclGetVersion(&code));
  return code;
}

std::string nccl_library_version() {
  return version_text(nccl_library_code());
}

}  // namespace moeshift
