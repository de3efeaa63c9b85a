// SPDX-License-Identifier: Apache-2.0
// What can never end, whatever hosts do later.
//
// A kernel can start once those before it on its stream can end and its multiprocessors are free or
// held by kernels of which one can end; it can end once it can start and the other side of each of
// its messages can start, or was not issued yet: a host may still do that. What the least fixed
// point of these two leaves out waits in a circle.
#include <algorithm>
#include <map>
#include <set>

#include "communicators.hpp"

namespace rulebook {

std::string Communicators::waiting_text(const Kernel& kernel) const {
  std::string text;
  std::size_t count = 0;
  for (const auto& message : kernel.messages) {
    const Pair& pair = kernel.member->clique->pairs.at(message.first);
    if (pair.moved[message.second]) continue;
    if (++count > 3) break;
    const Side* const other = other_side(kernel, message);
    const bool sends = message.first.first == kernel.member->rank;
    const int peer = sends ? message.first.second : message.first.first;
    text += (text.empty() ? "" : "; ");
    text += "message " + std::to_string(message.second) + (sends ? " to " : " from ") +
            std::to_string(peer) + " waits for rank " + std::to_string(peer) + ", which ";
    if (other == nullptr) {
      text += sends ? "has not posted its receive" : "has not posted its send";
    } else if (other->kernel && !other->kernel->started) {
      text += "has it in " + other->kernel->name + ", not started";
    } else {
      text += "is at it";
    }
  }
  if (!kernel.started)
    text = "not started (stream or multiprocessors are taken)" + (text.empty() ? "" : "; " + text);
  return text.empty() ? "nothing left to move" : text;
}

void Communicators::look_for_deadlock() {
  std::vector<Kernel*> open;
  for (const auto& [handle, member] : members_) {
    if (member->aborted || member->issue) continue;
    for (const auto& kernel : member->kernels) open.push_back(kernel.get());
  }
  // The kernel before each on its stream.
  std::map<const Kernel*, const Kernel*> in_front;
  for (const auto& stream : machine_.streams()) {
    const Kernel* last = nullptr;
    for (const auto& work : stream->queue) {
      if (!work->kernel) continue;
      if (last != nullptr) in_front[work->kernel.get()] = last;
      last = work->kernel.get();
    }
  }
  std::set<const Kernel*> starts;
  std::set<const Kernel*> ends;
  const auto can_start_now = [&](const Kernel& kernel) {
    if (kernel.started) return true;
    const auto before = in_front.find(&kernel);
    if (before != in_front.end() && !ends.contains(before->second)) return false;
    if (can_start(kernel)) return true;
    return std::ranges::any_of(open, [&](const Kernel* other) {
      return other->started && other->member->device == kernel.member->device &&
             ends.contains(other);
    });
  };
  const auto can_end_now = [&](const Kernel& kernel) {
    if (kernel.stopped || !starts.contains(&kernel)) return kernel.stopped;
    return std::ranges::all_of(kernel.messages, [&](const auto& message) {
      if (kernel.member->clique->pairs.at(message.first).moved[message.second]) return true;
      const Side* const other = other_side(kernel, message);
      return other == nullptr || !other->kernel || other->kernel->member->aborted ||
             other->kernel->member->issue || starts.contains(other->kernel.get());
    });
  };
  for (bool more = true; more;) {
    more = false;
    for (const Kernel* kernel : open) {
      if (!starts.contains(kernel) && can_start_now(*kernel)) more |= starts.insert(kernel).second;
      if (!ends.contains(kernel) && can_end_now(*kernel)) more |= ends.insert(kernel).second;
    }
  }
  for (const Kernel* kernel : open) {
    if (ends.contains(kernel)) continue;
    machine_.report_work("deadlock " + std::to_string(kernel->member->clique->id) + " " +
                             std::to_string(kernel->member->rank) + " " + kernel->name,
                         "deadlock", *kernel->work, waiting_text(*kernel));
  }
}

void Communicators::look_for_stuck(double idle_seconds) {
  if (idle_seconds < machine_.options().stuck_after) return;
  for (const auto& [handle, member] : members_) {
    if (member->aborted) continue;
    for (const auto& kernel : member->kernels) {
      machine_.report_work("stuck " + std::to_string(member->clique->id) + " " +
                               std::to_string(member->rank) + " " + kernel->name,
                           "stuck", *kernel->work, waiting_text(*kernel));
    }
  }
}

}  // namespace rulebook
