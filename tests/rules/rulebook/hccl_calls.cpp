// SPDX-License-Identifier: Apache-2.0
// HCCL's names. A call is a group of its own, taken at once; there is no abort.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "communicators.hpp"

namespace {

using rulebook::Machine;
using rulebook::Member;

constexpr int kSuccess = 0;
constexpr int kParameter = 1;
constexpr int kTimeout = 9;
constexpr int kNotSupported = 5;

struct RootInfo {
  char internal[4108];
};

struct Item {
  int kind;  // 0 sends, 1 receives
  void* start;
  std::uint64_t count;
  int type;
  std::uint32_t peer;
};

/// Bytes of an element by HcclDataType; 0: reserved.
constexpr std::array<std::size_t, 19> kBytes = {1, 2, 4,  2, 4, 8, 8, 1, 2, 4,
                                                8, 2, 16, 0, 1, 1, 1, 1, 1};
constexpr int kFirstFp8 = 14;

/// 0 when the type cannot be sent; says why.
std::size_t bytes_of(Machine& machine, const Member& member, int type, const char* call) {
  if (type < 0 || static_cast<std::size_t>(type) >= kBytes.size()) return 0;
  if (type >= kFirstFp8 && !machine.options().fp8_allowed) {
    machine.report("type not allowed", member.rank, call,
                   "these devices do not send fp8; send its bytes as int8");
    return 0;
  }
  return kBytes[static_cast<std::size_t>(type)];
}

int refused(int result) {
  return result == 0 ? kSuccess : kParameter;
}

}  // namespace

extern "C" {

const char* HcclGetErrorString(int result) {
  if (result == kSuccess) return "no error";
  return result == kTimeout ? "timeout" : "the rulebook refuses; see its findings";
}
int HcclGetRootInfo(RootInfo* info) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  *info = {};
  const std::uint64_t number = machine.next_number();
  std::memcpy(info->internal, &number, sizeof number);
  return kSuccess;
}
/// Blocks until all ranks are there, for two minutes at most, as the real one does by default.
int HcclCommInitRootInfo(std::uint32_t ranks, const RootInfo* info, std::uint32_t rank,
                         void** comm) {
  if (rank >= ranks) return kParameter;
  Machine& machine = Machine::get();
  std::unique_lock lock(machine.mutex);
  std::uint64_t number = 0;
  std::memcpy(&number, info->internal, sizeof number);
  Member& member =
      machine.communicators().join(number, ranks, static_cast<int>(rank), 8, true, "hccl", true);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (!member.joined) {
    if (std::chrono::steady_clock::now() > end) return kTimeout;
    if (machine.step()) continue;
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
  *comm = member.handle;
  return kSuccess;
}
int HcclCommDestroy(void* comm) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "HcclCommDestroy");
  if (member == nullptr) return kParameter;
  machine.communicators().destroy(*member);
  return kSuccess;
}
int HcclGetCommAsyncError(void* comm, int* error) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "HcclGetCommAsyncError");
  if (member == nullptr) return kParameter;
  *error = member->error;
  return kSuccess;
}
int HcclBatchSendRecv(Item* items, std::uint32_t count, void* comm, void* stream) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "HcclBatchSendRecv");
  if (member == nullptr) return kParameter;
  std::vector<rulebook::Posted> posted;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t each = bytes_of(machine, *member, items[i].type, "HcclBatchSendRecv");
    if (each == 0) return kNotSupported;
    posted.push_back({items[i].kind == 0, static_cast<std::byte*>(items[i].start),
                      items[i].count * each, static_cast<int>(items[i].peer)});
  }
  return refused(
      machine.communicators().group(*member, std::move(posted), stream, "HcclBatchSendRecv"));
}
/// The matrix says what every rank sends to every other one; both buffers are in the order of
/// ranks.
int HcclAlltoAllVC(const void* from, const void* matrix, int send_type, const void* to,
                   int receive_type, void* comm, void* stream) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "HcclAlltoAllVC");
  if (member == nullptr || send_type != receive_type) return kParameter;
  const std::size_t each = bytes_of(machine, *member, send_type, "HcclAlltoAllVC");
  if (each == 0) return kNotSupported;
  const std::size_t ranks = member->clique->ranks;
  const auto* const counts = static_cast<const std::uint64_t*>(matrix);
  const auto self = static_cast<std::size_t>(member->rank);
  auto* source = static_cast<std::byte*>(const_cast<void*>(from));
  auto* target = static_cast<std::byte*>(const_cast<void*>(to));
  std::vector<rulebook::Posted> posted;
  for (std::size_t peer = 0; peer < ranks; ++peer) {
    const std::size_t out = counts[self * ranks + peer] * each;
    const std::size_t in = counts[peer * ranks + self] * each;
    if (out > 0) posted.push_back({true, source, out, static_cast<int>(peer)});
    if (in > 0) posted.push_back({false, target, in, static_cast<int>(peer)});
    source += out;
    target += in;
  }
  return refused(
      machine.communicators().group(*member, std::move(posted), stream, "HcclAlltoAllVC"));
}
int HcclBarrier(void* comm, void* stream) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  Member* const member = machine.communicators().member_of(comm, "HcclBarrier");
  if (member == nullptr) return kParameter;
  // A message of no bytes from each to each.
  static std::byte nowhere{};
  std::vector<rulebook::Posted> posted;
  for (int peer = 0; peer < static_cast<int>(member->clique->ranks); ++peer) {
    if (peer == member->rank) continue;
    posted.push_back({true, &nowhere, 0, peer});
    posted.push_back({false, &nowhere, 0, peer});
  }
  return refused(machine.communicators().group(*member, std::move(posted), stream, "HcclBarrier"));
}

}  // extern "C"
