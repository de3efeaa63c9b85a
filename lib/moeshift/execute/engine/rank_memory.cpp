// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/rank_memory.hpp"

#include <algorithm>

#include "moeshift/execute/contents.hpp"

namespace moeshift {

RankMemory::RankMemory(DeviceMemory& memory, const RankProgram& program, const ShuffleJob& job,
                       RankId self, std::size_t buffers, std::uint64_t seed)
    : memory_(memory),
      program_(program),
      job_(job),
      self_(self),
      seed_(seed),
      staging_(buffers, nullptr),
      send_(buffers, nullptr) {
  const auto take = [&](Bytes bytes) {
    return bytes.count() > 0 ? memory_.allocate(bytes) : nullptr;
  };
  live_ = take(program.live);
  for (std::size_t set = 0; set < buffers; ++set) {
    staging_[set] = take(program.staging_set);
    send_[set] = take(program.send_set);
  }
}

RankMemory::RankMemory(const RankMemory& same, const RankProgram& program, const ShuffleJob& job)
    : memory_(same.memory_),
      program_(program),
      job_(job),
      self_(same.self_),
      seed_(same.seed_),
      live_(same.live_),
      staging_(same.staging_),
      send_(same.send_) {}

std::byte* RankMemory::at(const Address& address, std::size_t set) const {
  switch (address.area) {
    case Area::kLive:
      return live_ + address.offset;
    case Area::kStaging:
      return staging_[set] + address.offset;
    case Area::kSend:
      return send_[set] + address.offset;
  }
  return nullptr;
}

std::byte* RankMemory::live_slot(std::size_t layer, std::size_t slot) const {
  return live_ + program_.live_offset(layer, static_cast<std::uint32_t>(slot));
}

std::size_t RankMemory::slot_at(std::size_t layer, const std::byte* start) const {
  const std::ptrdiff_t offset = start - live_slot(layer, 0);
  return static_cast<std::size_t>(offset / program_.slot_bytes[layer]);
}

std::span<std::byte> RankMemory::live() const {
  return {live_, static_cast<std::size_t>(program_.live.count())};
}

std::vector<CopyRequest> RankMemory::copies(const std::vector<ExpertCopy>& copies,
                                            std::size_t set) const {
  std::vector<CopyRequest> requests;
  requests.reserve(copies.size());
  for (const ExpertCopy& copy : copies) {
    requests.push_back({at(copy.from, set), at(copy.to, set), copy.bytes});
  }
  return requests;
}

std::vector<Message> RankMemory::messages(const std::vector<PlannedMessage>& messages,
                                          std::size_t set) const {
  std::vector<Message> ready;
  ready.reserve(messages.size());
  for (const PlannedMessage& message : messages) {
    ready.push_back({message.peer, message.direction, at(message.address, set), message.bytes});
  }
  return ready;
}

std::vector<ExpertId> RankMemory::contents(std::size_t layer, std::size_t waves) const {
  return slots_after_waves(job_.plan->layers[layer], *job_.old, *job_.next, LayerId(layer), self_,
                           waves);
}

std::vector<RankMemory::Tasks> RankMemory::tasks(std::size_t layer, std::size_t waves) const {
  std::vector<Tasks> groups;
  const std::vector<ExpertId> slots = contents(layer, waves);
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot].is_none()) continue;
    const SlotLayout* layout = &job_.layout.of(layer, slots[slot]);
    auto group = std::ranges::find(groups, layout, &Tasks::layout);
    if (group == groups.end()) group = groups.insert(group, {layout, {}});
    group->tasks.push_back(
        {live_slot(layer, slot), {seed_, job_.plan->layers[layer].layer, slots[slot]}});
  }
  return groups;
}

std::vector<std::unique_ptr<Pending>> RankMemory::start_poison() const {
  std::vector<std::unique_ptr<Pending>> work;
  const auto poison = [&](std::byte* start, Bytes bytes) {
    if (start != nullptr) work.push_back(memory_.poison(start, bytes));
  };
  poison(live_, program_.live);
  for (std::size_t set = 0; set < staging_.size(); ++set) {
    poison(staging_[set], program_.staging_set);
    poison(send_[set], program_.send_set);
  }
  return work;
}

std::vector<std::unique_ptr<Pending>> RankMemory::start_fill(std::size_t layer) const {
  // A layer without moves holds the same experts before and after.
  std::vector<std::unique_ptr<Pending>> work;
  for (const auto& [layout, tasks] : tasks(layer, 0)) work.push_back(memory_.fill(tasks, *layout));
  return work;
}

}  // namespace moeshift
