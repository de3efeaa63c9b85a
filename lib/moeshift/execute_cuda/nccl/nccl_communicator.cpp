// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/nccl/nccl_communicator.hpp"

#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/world/gather.hpp"

namespace moeshift {
NcclCommunicator::NcclCommunicator(const CollectiveLibrary& library, const CollectiveId& id,
                                   RankId self, std::size_t ranks, const NcclOptions& options,
                                   Deadline deadline)
    : library_(library), communicator_(nullptr, {&library}), ranks_(ranks) {
  CollectiveConfig config = config_for(library.version());
  config.blocking = 0;
  config.comm_name = options.name.c_str();
  if (options.max_ctas) {
    config.min_ctas = 1;
    config.max_ctas = static_cast<int>(*options.max_ctas);
  }
  CollectiveComm communicator = nullptr;
  const int result = library.calls().init(&communicator, static_cast<int>(ranks), id,
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
  int state = kCollectiveSuccess;
  check(library_.calls().async_error(get(), &state));
  check(state);
  return state == kCollectiveSuccess;
}

void NcclCommunicator::wait_until_issued(Deadline deadline, std::string_view doing) const {
  while (!issued()) {
    if (deadline.expired()) {
      throw DeviceError(fmt::format("{}: no answer within {:.1f} s while {}", library_.name(),
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
  std::thread([raw = communicator_.release(), calls = &library_.calls(), done] {
    (void)calls->abort(raw);
    done->set_value();
  }).detach();
  (void)finished.wait_for(std::chrono::duration<double>(limit.count()));
}

void NcclCommunicator::close(Deadline deadline) {
  check(library_.calls().finalize(get()));
  wait_until_issued(deadline, "taking leave of the peers");
  library_.check(library_.calls().destroy(communicator_.release()));
}

std::unique_ptr<NcclCommunicator> join_communicator(ControlPlane& control,
                                                    const CollectiveLibrary& library,
                                                    const NcclOptions& options, Deadline deadline) {
  std::string text;
  CollectiveId id{};
  if (control.self() == RankId(0)) {
    library.check(library.calls().get_unique_id(&id));
    text.assign(id.internal, sizeof(id.internal));
  }
  text = gather(control, text, deadline).front();
  MOESHIFT_CHECK(text.size() == sizeof(id.internal));
  std::memcpy(id.internal, text.data(), text.size());
  return std::make_unique<NcclCommunicator>(library, id, control.self(), control.size(), options,
                                            deadline);
}

}  // namespace moeshift
