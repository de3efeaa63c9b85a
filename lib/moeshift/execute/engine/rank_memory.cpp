// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/rank_memory.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/contents.hpp"

namespace moeshift {

RankMemory::RankMemory(DeviceMemory& memory, const RankProgram& program, const ShuffleJob& job,
                       RankId self, const ShuffleOptions& options)
    : memory_(memory),
      program_(program),
      job_(job),
      self_(self),
      seed_(options.seed),
      weights_(options.weights),
      staging_(options.buffers, nullptr),
      send_(options.buffers, nullptr),
      landing_(options.buffers, nullptr) {
  const auto take = [&](Bytes bytes) {
    return bytes.count() > 0 ? memory_.allocate(bytes) : nullptr;
  };
  if (weights_ == nullptr) live_ = take(program.live);
  for (std::size_t set = 0; set < options.buffers; ++set) {
    staging_[set] = take(program.staging_set);
    send_[set] = take(program.send_set);
    landing_[set] = take(program.landing_set);
  }
  if (program.cell.count() > 0 && program.live.count() > 0) make_slots();
  plan_flips();
}

void RankMemory::plan_flips() {
  if (!slots_) return;
  for (const StagingUnit& unit : program_.units) {
    for (const LayerCommit& commit : unit.layers) {
      flips_.emplace(&commit, plan_flip(commit.passes, program_.cell.count()));
    }
  }
}

void RankMemory::make_slots() {
  const std::int64_t cell = program_.cell.count();
  const auto cells = [cell](std::byte* start, Bytes bytes) {
    std::vector<std::byte*> starts;
    for (std::int64_t at = 0; at < bytes.count(); at += cell) starts.push_back(start + at);
    return starts;
  };
  std::vector<std::vector<std::byte*>> staging;
  for (std::byte* start : staging_) staging.push_back(cells(start, program_.staging_set));
  slots_ = std::make_shared<SlotTable>(cell, cells(live_, program_.live), std::move(staging));
  pointers_ = memory_.allocate(program_.pointers());
}

RankMemory::RankMemory(const RankMemory& same, const RankProgram& program, const ShuffleJob& job)
    : memory_(same.memory_),
      program_(program),
      job_(job),
      self_(same.self_),
      seed_(same.seed_),
      weights_(same.weights_),
      live_(same.live_),
      staging_(same.staging_),
      send_(same.send_),
      landing_(same.landing_),
      pointers_(same.pointers_),
      slots_(same.slots_) {
  plan_flips();
}

std::byte* RankMemory::at(const Address& address, std::size_t set) const {
  switch (address.area) {
    case Area::kLive:
      if (weights_ != nullptr) return piece(address, set).start;
      return slots_ ? slots_->live_at(address.offset) : live_ + address.offset;
    case Area::kStaging:
      return slots_ ? slots_->staging_at(address.offset, set) : staging_[set] + address.offset;
    case Area::kSend:
      return send_[set] + address.offset;
    case Area::kLanding:
      return landing_[set] + address.offset;
  }
  return nullptr;
}

std::byte* RankMemory::live_slot(std::size_t layer, std::size_t slot) const {
  return at({Area::kLive, program_.live_offset(layer, static_cast<std::uint32_t>(slot))}, 0);
}

std::size_t RankMemory::slot_at(std::size_t layer, const std::byte* start) const {
  const std::vector<std::byte*> slots = slots_of(layer);
  return static_cast<std::size_t>(std::ranges::find(slots, start) - slots.begin());
}

std::vector<std::byte*> RankMemory::slots_of(std::size_t layer) const {
  const auto count = static_cast<std::size_t>(program_.slots_per_rank);
  if (slots_) return memory_.pointers(pointers_, layer * count, count);
  std::vector<std::byte*> slots;
  for (std::size_t slot = 0; slot < count; ++slot) slots.push_back(live_slot(layer, slot));
  return slots;
}

std::span<std::byte> RankMemory::live() const {
  return {live_, static_cast<std::size_t>(program_.live.count())};
}

std::vector<CopyRequest> RankMemory::copies(const std::vector<ExpertCopy>& copies,
                                            std::size_t set) const {
  std::vector<CopyRequest> requests;
  requests.reserve(copies.size());
  for (const ExpertCopy& copy : copies) {
    add_copies(copy, set, requests);
  }
  return requests;
}

void RankMemory::add_copies(const ExpertCopy& copy, std::size_t set,
                            std::vector<CopyRequest>& requests) const {
  if (weights_ == nullptr) {
    requests.push_back({at(copy.from, set), at(copy.to, set), copy.bytes});
    return;
  }
  Address from = copy.from;
  Address to = copy.to;
  for (std::int64_t left = copy.bytes.count(); left > 0;) {
    const Piece source = piece(from, set);
    const Piece target = piece(to, set);
    const std::int64_t bytes = std::min({left, source.bytes, target.bytes});
    requests.push_back({source.start, target.start, Bytes(bytes)});
    from.offset += bytes;
    to.offset += bytes;
    left -= bytes;
  }
}

/// In buffers everything lies in one piece; in the caller's slots each tensor does.
RankMemory::Piece RankMemory::piece(const Address& address, std::size_t set) const {
  if (address.area != Area::kLive) {
    return {at(address, set), std::numeric_limits<std::int64_t>::max()};
  }
  const auto& first = program_.first_offset;
  const auto layer =
      static_cast<std::size_t>(std::ranges::upper_bound(first, address.offset) - first.begin() - 1);
  const std::int64_t within = address.offset - first[layer];
  const std::int64_t slot = within / program_.slot_bytes[layer];
  const std::int64_t offset = within % program_.slot_bytes[layer];
  const std::vector<TensorRange>& tensors = job_.layout.of(layer, ExpertId(0)).tensors;
  std::size_t t = tensors.size() - 1;
  while (tensors[t].offset.count() > offset) --t;
  const std::int64_t inside = offset - tensors[t].offset.count();
  return {tensor(layer, static_cast<std::size_t>(slot), t) + inside,
          tensors[t].bytes.count() - inside};
}

std::vector<Message> RankMemory::messages(const std::vector<PlannedMessage>& messages,
                                          std::size_t set) const {
  std::vector<Message> ready;
  ready.reserve(messages.size());
  for (const PlannedMessage& message : messages) {
    // Rules see to it that no message leaves or enters several tensors of the caller's at once.
    MOESHIFT_CHECK(weights_ == nullptr ||
                   message.bytes.count() <= piece(message.address, set).bytes);
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
  const std::vector<std::byte*> starts = slots_of(layer);
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot].is_none()) continue;
    const SlotLayout* layout = &job_.layout.of(layer, slots[slot]);
    auto group = std::ranges::find(groups, layout, &Tasks::layout);
    if (group == groups.end()) group = groups.insert(group, {layout, {}});
    group->tasks.push_back({starts[slot], {seed_, job_.plan->layers[layer].layer, slots[slot]}});
  }
  return groups;
}

std::unique_ptr<Pending> RankMemory::start_pointers() const {
  if (!slots_) return nullptr;
  std::vector<PointerChange> all;
  for (std::byte* cell : slots_->live()) all.push_back({all.size(), cell});
  return memory_.point(pointers_, all, nullptr);
}

std::vector<std::span<std::byte>> RankMemory::poisonable() const {
  constexpr std::int64_t kPiece = std::int64_t{64} << 20;
  std::vector<std::span<std::byte>> pieces;
  const auto cut = [&](std::byte* start, Bytes bytes) {
    if (start == nullptr) return;
    for (std::int64_t at = 0; at < bytes.count(); at += kPiece) {
      pieces.emplace_back(start + at,
                          static_cast<std::size_t>(std::min(kPiece, bytes.count() - at)));
    }
  };
  if (weights_ == nullptr) cut(live_, program_.live);
  for (std::size_t set = 0; set < staging_.size(); ++set) {
    cut(staging_[set], program_.staging_set);
    cut(send_[set], program_.send_set);
    cut(landing_[set], program_.landing_set);
  }
  return pieces;
}

std::vector<std::unique_ptr<Pending>> RankMemory::start_fill(std::size_t layer) const {
  // A layer without moves holds the same experts before and after.
  std::vector<std::unique_ptr<Pending>> work;
  for (const auto& [layout, tasks] : tasks(layer, 0)) work.push_back(memory_.fill(tasks, *layout));
  return work;
}

}  // namespace moeshift
