// SPDX-License-Identifier: Apache-2.0
#include "communicators.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

namespace rulebook {
namespace {

std::pair<int, int> key_of(const Member& member, const Posted& message) {
  return message.send ? std::pair(member.rank, message.peer) : std::pair(message.peer, member.rank);
}

}  // namespace

Member& Communicators::join(std::uint64_t id, std::size_t ranks, int rank, int channels,
                            bool blocking, std::string name, bool hccl) {
  std::unique_ptr<Clique>& clique = cliques_[id];
  if (!clique) {
    clique = std::make_unique<Clique>();
    clique->id = id;
    clique->ranks = ranks;
    clique->hccl = hccl;
    clique->members.resize(ranks);
  }
  auto member = std::make_unique<Member>();
  member->handle = reinterpret_cast<void*>(0x10000 + machine_.next_number() * 16);
  member->clique = clique.get();
  member->rank = rank;
  member->device = Machine::bound_device();
  member->channels = channels;
  member->blocking = blocking;
  member->name = std::move(name);
  member->busy = true;
  if (clique->ranks != ranks || clique->members[static_cast<std::size_t>(rank)] != nullptr) {
    machine_.report("wrong communicator", rank, "CommInit",
                    "the rank is there already, or ranks disagree on how many there are");
  }
  clique->members[static_cast<std::size_t>(rank)] = member.get();
  Member& joined = *member;
  members_[joined.handle] = std::move(member);
  const bool all = std::ranges::all_of(clique->members, [](Member* m) { return m != nullptr; });
  if (all) {
    for (Member* one : clique->members) {
      one->issue_at = machine_.turn() + machine_.below(machine_.options().delay + 1);
      one->issue = [one] { one->joined = true; };
    }
    machine_.progressed();
  }
  return joined;
}

Member* Communicators::member_of(void* handle, const char* call) {
  const auto found = members_.find(handle);
  const int device = Machine::bound_device();
  if (found == members_.end()) {
    machine_.report("use after destroy", device, call, "there is no such communicator");
    return nullptr;
  }
  Member& member = *found->second;
  if (member.aborted || member.destroyed) {
    machine_.report("after abort", member.rank, call,
                    member.aborted ? "the communicator was aborted before"
                                   : "the communicator was destroyed before");
    return nullptr;
  }
  return &member;
}

const Fault* Communicators::fault_of(const Member& member, std::size_t group) const {
  for (const Fault& fault : machine_.options().faults) {
    if (fault.rank == member.rank && fault.group == group) return &fault;
  }
  return nullptr;
}

int Communicators::group(Member& member, std::vector<Posted> posted, void* handle,
                         const std::string& call) {
  constexpr int kSystemError = 2;
  constexpr int kInvalidArgument = 4;
  constexpr int kRemoteError = 6;
  if (member.busy) {
    machine_.report("call while another is in progress", member.rank, call,
                    "ask ncclCommGetAsyncError until it says success");
  }
  for (const Posted& message : posted) {
    if (message.peer >= 0 && message.peer < static_cast<int>(member.clique->ranks)) continue;
    machine_.report("no such peer", member.rank, text_of(message, *member.clique),
                    "ranks are 0 to " + std::to_string(member.clique->ranks - 1));
    return kInvalidArgument;
  }
  const auto stream = machine_.stream_of(handle, call.c_str());
  if (!stream) return kInvalidArgument;
  check_rules(member, posted, call);
  const std::size_t number = member.groups++;
  check_one_order(member);
  const Fault* const fault = fault_of(member, number);
  if (fault != nullptr && fault->kind == Fault::Kind::kRefuse) return kSystemError;
  std::vector<std::shared_ptr<Kernel>> kernels;
  for (const std::vector<Posted>& part : cut(member, posted)) {
    auto kernel = std::make_shared<Kernel>();
    kernel->member = &member;
    kernel->stream = stream;
    kernel->blocks = member.channels;
    kernel->name = call + " #" + std::to_string(number) +
                   (kernels.empty() ? "" : " part " + std::to_string(kernels.size() + 1));
    kernel->work = machine_.make_work(member.rank, kernel->name);
    kernel->work->kernel = kernel;
    kernel->stopped = fault != nullptr && fault->kind == Fault::Kind::kStop;
    kernel->corrupt = fault != nullptr && fault->kind == Fault::Kind::kCorrupt;
    for (const Posted& message : part) {
      if (message.bytes > 0) {
        kernel->work->accesses.push_back({message.start, message.bytes, !message.send});
      }
      post(member, message, kernel, call);
    }
    if (!kernels.empty()) kernel->work->after.push_back(kernels.back()->work);
    machine_.check_order(*stream, kernel->work);
    member.kernels.push_back(kernel);
    kernels.push_back(std::move(kernel));
  }
  const bool breaks = fault != nullptr && fault->kind == Fault::Kind::kAsync;
  const auto put = [this, &member, kernels, stream, breaks] {
    for (const auto& kernel : kernels) machine_.put(*stream, kernel->work);
    if (breaks) member.error = kRemoteError;
  };
  if (member.blocking) {
    put();
    return 0;
  }
  member.busy = true;
  member.issue = put;
  member.issue_at = machine_.turn() + machine_.below(machine_.options().delay + 1);
  machine_.progressed();
  return 0;
}

void Communicators::post(Member& member, const Posted& message,
                         const std::shared_ptr<Kernel>& kernel, const std::string& call) {
  const std::pair<int, int> key = key_of(member, message);
  Pair& pair = member.clique->pairs[key];
  std::vector<Side>& own = message.send ? pair.sent : pair.received;
  const std::vector<Side>& others = message.send ? pair.received : pair.sent;
  const std::size_t number = own.size();
  own.push_back({message.start, message.bytes, member.groups - 1, kernel});
  if (pair.moved.size() <= number) pair.moved.resize(number + 1, false);
  kernel->messages.emplace_back(key, number);
  ++kernel->open;
  if (number < others.size() && others[number].bytes != message.bytes) {
    machine_.report("size mismatch", member.rank, text_of(message, *member.clique),
                    "message " + std::to_string(number) + " of the pair has " +
                        std::to_string(others[number].bytes) + " bytes on the other side (" + call +
                        ")");
  }
  check_cuts(*member.clique, key, number);
}

int Communicators::blocks_in_use(int device) const {
  int blocks = 0;
  for (const auto& [handle, member] : members_) {
    if (member->device != device) continue;
    for (const auto& kernel : member->kernels) blocks += kernel->started ? kernel->blocks : 0;
  }
  return blocks;
}

bool Communicators::can_start(const Kernel& kernel) const {
  return blocks_in_use(kernel.member->device) + kernel.blocks <= machine_.options().multiprocessors;
}

void Communicators::start(const std::shared_ptr<Kernel>& kernel) {
  kernel->started = true;
  if (kernel->open == 0 && !kernel->stopped) end(kernel);
}

const Side* Communicators::other_side(
    const Kernel& kernel, const std::pair<std::pair<int, int>, std::size_t>& message) const {
  const Pair& pair = kernel.member->clique->pairs.at(message.first);
  // A message to oneself has both sides in this kernel.
  const bool sends = message.first.first == kernel.member->rank &&
                     message.second < pair.sent.size() &&
                     pair.sent[message.second].kernel.get() == &kernel;
  const std::vector<Side>& others = sends ? pair.received : pair.sent;
  return message.second < others.size() ? &others[message.second] : nullptr;
}

void Communicators::candidates(std::vector<std::function<void()>>& out, std::uint64_t* earliest) {
  for (const auto& [handle, owned] : members_) {
    Member* const member = owned.get();
    if (member->aborted) continue;
    if (member->issue) {
      if (member->issue_at > machine_.turn()) {
        *earliest = std::min(*earliest, member->issue_at);
      } else {
        out.emplace_back([member] {
          const auto issue = std::exchange(member->issue, {});
          member->busy = false;
          issue();
        });
      }
    }
    for (const auto& kernel : member->kernels) {
      if (!kernel->started || kernel->stopped) continue;
      for (const auto& message : kernel->messages) {
        Pair& pair = member->clique->pairs[message.first];
        if (message.first.second != member->rank || pair.moved[message.second]) continue;
        if (message.second >= pair.received.size() ||
            pair.received[message.second].kernel != kernel) {
          continue;
        }
        const Side* const sent = other_side(*kernel, message);
        if (sent == nullptr || !sent->kernel->started || sent->kernel->stopped) continue;
        out.emplace_back(
            [this, member, message] { move(*member->clique, message.first, message.second); });
      }
    }
  }
}

void Communicators::move(Clique& clique, std::pair<int, int> key, std::size_t number) {
  Pair& pair = clique.pairs[key];
  Side& from = pair.sent[number];
  Side& to = pair.received[number];
  std::memcpy(to.start, from.start, std::min(from.bytes, to.bytes));
  if (to.kernel->corrupt && to.bytes > 0) to.start[to.bytes / 2] ^= std::byte{0x40};
  pair.moved[number] = true;
  const std::shared_ptr<Kernel> sender = std::move(from.kernel);
  const std::shared_ptr<Kernel> receiver = std::move(to.kernel);
  from.kernel = to.kernel = nullptr;
  if (--sender->open == 0) end(sender);
  if (--receiver->open == 0) end(receiver);
}

void Communicators::end(const std::shared_ptr<Kernel>& kernel) {
  kernel->work->done = true;
  kernel->work->kernel = nullptr;
  std::erase(kernel->stream->queue, kernel->work);
  std::erase(kernel->member->kernels, kernel);
}

void Communicators::abort(Member& member) {
  member.aborted = true;
  member.busy = false;
  member.issue = {};
  for (const auto& kernel : member.kernels) {
    kernel->stopped = true;
    std::erase(kernel->stream->queue, kernel->work);
    machine_.forget(kernel->work);
    kernel->work->kernel = nullptr;
  }
  member.kernels.clear();
  member.registrations = 0;
  machine_.progressed();
}

void Communicators::abort_on(int device) {
  for (const auto& [handle, member] : members_) {
    if (member->device == device && !member->destroyed && !member->aborted) abort(*member);
  }
}

void Communicators::finalize(Member& member) {
  member.leaving = member.busy = true;
  if (!member.kernels.empty()) {
    machine_.report("left with work under way", member.rank, "CommFinalize",
                    waiting_text(*member.kernels.front()));
  }
  const auto leaves = [](Member* one) { return one != nullptr && one->leaving; };
  if (!std::ranges::all_of(member.clique->members, leaves)) return;
  for (Member* one : member.clique->members) {
    one->issue_at = machine_.turn() + machine_.below(machine_.options().delay + 1);
    one->issue = [one] { one->left = true; };
  }
  machine_.progressed();
}

void Communicators::destroy(Member& member) {
  if (!member.kernels.empty()) {
    machine_.report("left with work under way", member.rank, "CommDestroy",
                    waiting_text(*member.kernels.front()));
    abort(member);
  }
  member.destroyed = true;
}

void Communicators::append_leaks(std::vector<Finding>& leaks) const {
  for (const auto& [handle, member] : members_) {
    if (!member->aborted && !member->destroyed) {
      leaks.push_back({"leak", member->rank, "CommInit", "a communicator was never ended", {}});
    }
    if (member->registrations > 0) {
      leaks.push_back({"leak", member->rank, "CommRegister", "memory is still registered", {}});
    }
  }
}

void end_rank() {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  machine.communicators().abort_on(Machine::bound_device());
}

}  // namespace rulebook
