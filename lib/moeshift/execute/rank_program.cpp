// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/rank_program.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// A transfer of one unit: which layer of the plan it belongs to, and where it comes in its pair.
struct UnitTransfer {
  std::size_t layer = 0;
  const Transfer* transfer = nullptr;
  std::size_t step = 0;
};

struct UnitWave {
  std::size_t layer = 0;
  std::size_t index = 0;
  const Wave* wave = nullptr;
  bool last = true;
};

using PairKey = std::pair<RankId, RankId>;

/// Builds one unit of one rank's program.
class UnitBuilder {
 public:
  UnitBuilder(RankProgram& program, RankId self, Bytes slot_bytes, bool pack)
      : program_(program), self_(self), slot_(slot_bytes.count()), pack_(pack) {}

  Unit build(const std::vector<UnitWave>& waves) {
    assign_steps(waves);
    number_staging(waves);
    Unit unit;
    unit.steps.resize(steps_);
    for (const UnitWave& wave : waves) {
      for (const LocalCopy& copy : wave.wave->stage_copies) {
        if (copy.rank == self_) unit.stage.push_back(resolve(wave.layer, copy));
      }
      unit.layers.push_back(
          {wave.layer, wave.index, wave.last, commit_passes(wave.layer, *wave.wave)});
      unit.follows_wave |= wave.index > 0;
    }
    add_messages(unit);
    grow(program_.staging_set, staged_);
    grow(program_.send_set, gathered_);
    return unit;
  }

 private:
  void grow(Bytes& area, std::int64_t slots) const { area = std::max(area, Bytes(slots * slot_)); }

  /// Orders the unit's transfers by group and decides which exchange each travels in.
  void assign_steps(const std::vector<UnitWave>& waves) {
    for (const UnitWave& wave : waves) {
      for (const Transfer& transfer : wave.wave->transfers) {
        transfers_.push_back({wave.layer, &transfer, 0});
      }
    }
    std::ranges::stable_sort(transfers_, {},
                             [](const UnitTransfer& t) { return t.transfer->group; });
    std::map<PairKey, std::size_t> next_of_pair;
    std::size_t group_start = 0;
    std::uint32_t group = 0;
    for (UnitTransfer& t : transfers_) {
      if (t.transfer->group != group) {
        group = t.transfer->group;
        group_start = steps_;
        next_of_pair.clear();
      }
      std::size_t& next = next_of_pair[{t.transfer->source, t.transfer->destination}];
      t.step = group_start + (pack_ ? 0 : next++);
      steps_ = std::max(steps_, t.step + 1);
    }
  }

  /// Numbers this rank's staging buffers in the order in which messages fill them.
  void number_staging(const std::vector<UnitWave>& waves) {
    std::vector<const UnitTransfer*> arrivals;
    for (const UnitTransfer& t : transfers_) {
      if (t.transfer->destination == self_) arrivals.push_back(&t);
    }
    std::ranges::stable_sort(arrivals, {}, [](const UnitTransfer* t) {
      return std::tuple(t->step, t->transfer->source);
    });
    for (const UnitTransfer* t : arrivals) number(t->layer, t->transfer->to);
    for (const UnitWave& wave : waves) {
      for (const LocalCopy& copy : wave.wave->stage_copies) {
        if (copy.rank == self_) number(wave.layer, copy.to);
      }
    }
  }

  void number(std::size_t layer, Place place) {
    MOESHIFT_CHECK(place.kind == Place::Kind::kStaging);
    const bool is_new = staging_.emplace(std::pair(layer, place.index), staged_).second;
    MOESHIFT_CHECK(is_new);
    ++staged_;
  }

  Address address(std::size_t layer, Place place) const {
    if (place.kind == Place::Kind::kStaging) {
      return {Area::kStaging, staging_.at({layer, place.index}) * slot_};
    }
    const auto row = static_cast<std::int64_t>(layer) * program_.slots_per_rank;
    return {Area::kLive, (row + place.index) * slot_};
  }

  ExpertCopy resolve(std::size_t layer, const LocalCopy& copy) const {
    return {address(layer, copy.from), address(layer, copy.to)};
  }

  /// Splits the commit into passes: a copy comes after every earlier one that it must not overtake.
  std::vector<std::vector<ExpertCopy>> commit_passes(std::size_t layer, const Wave& wave) const {
    std::vector<std::vector<ExpertCopy>> passes;
    std::map<Place, std::size_t> written_in;
    std::map<Place, std::size_t> read_in;
    for (const LocalCopy& copy : wave.commit_copies) {
      if (copy.rank != self_) continue;
      std::size_t pass = 0;
      for (const auto& [place, uses] :
           {std::pair(copy.from, &written_in), std::pair(copy.to, &written_in),
            std::pair(copy.to, &read_in)}) {
        if (const auto use = uses->find(place); use != uses->end()) {
          pass = std::max(pass, use->second + 1);
        }
      }
      passes.resize(std::max(passes.size(), pass + 1));
      passes[pass].push_back(resolve(layer, copy));
      written_in[copy.to] = pass;
      std::size_t& read = read_in[copy.from];
      read = std::max(read, pass);
    }
    return passes;
  }

  void add_messages(Unit& unit) {
    std::map<std::tuple<std::size_t, RankId, Direction>, std::vector<const UnitTransfer*>> messages;
    for (const UnitTransfer& t : transfers_) {
      if (t.transfer->source == self_) {
        messages[{t.step, t.transfer->destination, Direction::kSend}].push_back(&t);
      }
      if (t.transfer->destination == self_) {
        messages[{t.step, t.transfer->source, Direction::kReceive}].push_back(&t);
      }
    }
    for (const auto& [key, parts] : messages) {
      const auto& [step, peer, direction] = key;
      const Bytes bytes(static_cast<std::int64_t>(parts.size()) * slot_);
      const Address at = direction == Direction::kSend
                             ? departure(unit.steps[step], parts)
                             : address(parts[0]->layer, parts[0]->transfer->to);
      unit.steps[step].messages.push_back({peer, direction, at, bytes});
    }
  }

  /// Where a message is sent from: the expert's own place, or the send area it is gathered in.
  Address departure(ExchangeStep& step, const std::vector<const UnitTransfer*>& parts) {
    for (const UnitTransfer* part : parts) {
      step.relays |= part->transfer->from.kind == Place::Kind::kStaging;
    }
    if (parts.size() == 1) return address(parts[0]->layer, parts[0]->transfer->from);
    const Address start{Area::kSend, gathered_ * slot_};
    for (const UnitTransfer* part : parts) {
      const Address to{Area::kSend, gathered_++ * slot_};
      step.gather.push_back({address(part->layer, part->transfer->from), to});
    }
    return start;
  }

  RankProgram& program_;
  RankId self_;
  std::int64_t slot_;
  bool pack_;
  std::vector<UnitTransfer> transfers_;
  std::size_t steps_ = 0;
  std::map<std::pair<std::size_t, std::uint32_t>, std::int64_t> staging_;
  std::int64_t staged_ = 0;
  std::int64_t gathered_ = 0;
};

void add_peers(RankProgram& program) {
  std::set<RankId> send_to;
  std::set<RankId> receive_from;
  for (const Unit& unit : program.units) {
    for (const ExchangeStep& step : unit.steps) {
      for (const PlannedMessage& message : step.messages) {
        (message.direction == Direction::kSend ? send_to : receive_from).insert(message.peer);
      }
    }
  }
  program.send_to.assign(send_to.begin(), send_to.end());
  program.receive_from.assign(receive_from.begin(), receive_from.end());
}

/// The waves number `index` of the layers of a batch; layers with fewer waves are left out.
std::vector<UnitWave> waves_of(const TransferPlan& plan, const LayerBatch& batch,
                               std::size_t index) {
  std::vector<UnitWave> waves;
  for (std::size_t layer = batch.first; layer < batch.first + batch.count; ++layer) {
    const std::vector<Wave>& all = plan.layers[layer].waves;
    if (index < all.size()) waves.push_back({layer, index, &all[index], index + 1 == all.size()});
  }
  return waves;
}

}  // namespace

RankProgram make_rank_program(const TransferPlan& plan, RankId self, Bytes slot_bytes,
                              Bytes pack_below) {
  RankProgram program;
  program.slots_per_rank =
      static_cast<std::int64_t>(std::max(plan.old_slots_per_rank, plan.new_slots_per_rank));
  program.live =
      slot_bytes * (static_cast<std::int64_t>(plan.layers.size()) * program.slots_per_rank);
  const bool pack = slot_bytes < pack_below;
  for (const LayerBatch& batch : plan.batches) {
    for (std::size_t wave = 0;; ++wave) {
      const std::vector<UnitWave> waves = waves_of(plan, batch, wave);
      if (waves.empty()) break;
      program.units.push_back(UnitBuilder(program, self, slot_bytes, pack).build(waves));
    }
  }
  add_peers(program);
  return program;
}

}  // namespace moeshift
