// SPDX-License-Identifier: Apache-2.0
// NCCL's names, which are RCCL's.
#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "communicators.hpp"
#include "device_calls.hpp"

namespace {

using rulebook::Machine;
using rulebook::Member;

constexpr int kSuccess = 0;
constexpr int kInvalidArgument = 4;
constexpr int kInvalidUsage = 5;
constexpr int kInProgress = 7;
constexpr int kOutOfMemory = 1;
constexpr unsigned kMagic = 0xcafebeef;

struct Id {
  char internal[128];
};

struct Config {
  std::size_t size;
  unsigned magic;
  unsigned version;
  int blocking;
  int cluster;
  int min_ctas;
  int max_ctas;
  const char* net;
  int split;
  int traffic;
  const char* name;
};

/// What a thread has said between the start and the end of a group.
struct Group {
  int depth = 0;
  std::vector<std::pair<void*, rulebook::Posted>> messages;
  void* stream = nullptr;
};

Group& group() {
  thread_local Group group;
  return group;
}

/// NCCL opens its log once, at the first thing it has to say.
std::FILE* log_file() {
  static std::FILE* const file = [] {
    const char* const level = std::getenv("NCCL_DEBUG");
    const char* const name = std::getenv("NCCL_DEBUG_FILE");
    const bool wanted = level != nullptr && name != nullptr && std::strcmp(level, "INFO") == 0;
    return wanted ? std::fopen(name, "a") : nullptr;
  }();
  return file;
}

void log_channels(const rulebook::Options& options, const Member& member) {
  if (std::FILE* const file = log_file()) {
    std::fprintf(file,
                 "rulebook:%d:%d [%d] NCCL INFO %d coll channels, %d collnet channels, 0 nvls "
                 "channels, %d p2p channels, %d p2p channels per peer\n",
                 static_cast<int>(::getpid()), member.rank, member.device, member.channels,
                 member.channels, member.channels, options.channels_per_peer);
    std::fflush(file);
  }
}

/// The messages of one communicator after the other, in the order in which they were first named.
int end_group() {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Group said = std::exchange(group(), {});
  int result = kSuccess;
  while (!said.messages.empty()) {
    void* const handle = said.messages.front().first;
    std::vector<rulebook::Posted> own;
    std::erase_if(said.messages, [&](const auto& item) {
      if (item.first == handle) own.push_back(item.second);
      return item.first == handle;
    });
    Member* const member = machine.communicators().member_of(handle, "ncclGroupEnd");
    if (member == nullptr) {
      result = kInvalidArgument;
      continue;
    }
    const int code =
        machine.communicators().group(*member, std::move(own), said.stream, "ncclGroup");
    if (code != kSuccess) result = code;
    if (code == kSuccess && member->busy) result = kInProgress;
  }
  return result;
}

int say(void* comm, rulebook::Posted message, void* stream) {
  group().messages.emplace_back(comm, message);
  group().stream = stream;
  return group().depth > 0 ? kSuccess : end_group();
}

}  // namespace

extern "C" {

int ncclGetVersion(int* version) {
  *version = 22809;
  return kSuccess;
}
const char* ncclGetErrorString(int result) {
  switch (result) {
    case kSuccess:
      return "no error";
    case kInvalidArgument:
      return "invalid argument";
    case kInvalidUsage:
      return "invalid usage";
    case kInProgress:
      return "in progress";
    case 2:
      return "unhandled system error";
    case 6:
      return "remote process exited or there was a network error";
    default:
      return "error";
  }
}
const char* ncclGetLastError(void* /*comm*/) {
  return "";
}
int ncclGetUniqueId(Id* id) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  *id = {};
  const std::uint64_t number = machine.next_number();
  std::memcpy(id->internal, &number, sizeof number);
  return kSuccess;
}
int ncclCommInitRankConfig(void** comm, int ranks, Id id, int rank, Config* config) {
  if (rank < 0 || rank >= ranks || config->magic != kMagic) return kInvalidArgument;
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  std::uint64_t number = 0;
  std::memcpy(&number, id.internal, sizeof number);
  const bool bounded = config->max_ctas != INT_MIN;
  const int channels =
      bounded ? std::min(config->max_ctas, machine.options().channels) : machine.options().channels;
  const bool named = config->size > offsetof(Config, name) && config->name != nullptr;
  Member& member =
      machine.communicators().join(number, static_cast<std::size_t>(ranks), rank, channels,
                                   config->blocking != 0, named ? config->name : "", false);
  log_channels(machine.options(), member);
  *comm = member.handle;
  return kInProgress;
}
int ncclCommGetAsyncError(void* comm, int* state) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "ncclCommGetAsyncError");
  if (member == nullptr) return kInvalidArgument;
  if (machine.below(2) == 0) (void)machine.step();
  *state = member->error != 0 ? member->error : member->busy ? kInProgress : kSuccess;
  return kSuccess;
}
int ncclCommFinalize(void* comm) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "ncclCommFinalize");
  if (member == nullptr) return kInvalidArgument;
  machine.communicators().finalize(*member);
  return kInProgress;
}
int ncclCommDestroy(void* comm) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "ncclCommDestroy");
  if (member == nullptr) return kInvalidArgument;
  machine.communicators().destroy(*member);
  return kSuccess;
}
int ncclCommAbort(void* comm) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "ncclCommAbort");
  if (member == nullptr) return kInvalidArgument;
  machine.communicators().abort(*member);
  return kSuccess;
}
int ncclGroupStart() {
  ++group().depth;
  return kSuccess;
}
int ncclGroupEnd() {
  if (group().depth == 0) return kInvalidUsage;
  return --group().depth > 0 ? kSuccess : end_group();
}
int ncclSend(const void* from, std::size_t count, int /*type*/, int peer, void* comm,
             void* stream) {
  return say(comm, {true, static_cast<std::byte*>(const_cast<void*>(from)), count, peer}, stream);
}
int ncclRecv(void* to, std::size_t count, int /*type*/, int peer, void* comm, void* stream) {
  return say(comm, {false, static_cast<std::byte*>(to), count, peer}, stream);
}
int ncclMemAlloc(void** start, std::size_t bytes) {
  *start = rulebook::device_allocate(bytes, "ncclMemAlloc");
  return *start == nullptr ? kOutOfMemory : kSuccess;
}
int ncclMemFree(void* start) {
  return rulebook::device_free(start, "ncclMemFree") ? kSuccess : kInvalidArgument;
}
int ncclCommRegister(void* comm, void* start, std::size_t bytes, void** registration) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "ncclCommRegister");
  if (member == nullptr) return kInvalidArgument;
  machine.check_range({static_cast<std::byte*>(start), bytes, false}, member->rank,
                      "ncclCommRegister");
  ++member->registrations;
  *registration = start;
  return kSuccess;
}
int ncclCommDeregister(void* comm, void* /*registration*/) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "ncclCommDeregister");
  if (member == nullptr || member->registrations == 0) return kInvalidArgument;
  --member->registrations;
  return kSuccess;
}

}  // extern "C"
