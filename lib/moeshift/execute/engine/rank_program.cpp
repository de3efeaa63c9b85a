// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/rank_program.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/engine/exchange_order.hpp"

namespace moeshift {
namespace {

/// Builds one unit of one rank's program.
class UnitBuilder {
 public:
  UnitBuilder(RankProgram& program, const TransferPlan& plan, RankId self, MessageCutter& cutter)
      : program_(program),
        plan_(plan),
        self_(self),
        cutter_(cutter),
        spreads_(program.cell.count() > 0 || cutter.lands_direct()) {}

  StagingUnit build(const std::vector<UnitWave>& waves, UnitTurn turn) {
    ExchangeOrder order = cutter_.order(waves, turn);
    pieces_ = std::move(order.pieces);
    number_staging(waves);
    StagingUnit unit;
    unit.steps.resize(order.steps);
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
    grow(program_.landing_set, landed_);
    return unit;
  }

 private:
  static void grow(Bytes& area, std::int64_t bytes) { area = std::max(area, Bytes(bytes)); }

  /// Numbers this rank's staging buffers in the order in which messages fill them.
  void number_staging(const std::vector<UnitWave>& waves) {
    std::vector<const Piece*> arrivals;
    for (const Piece& piece : pieces_) {
      if (piece.transfer->destination == self_ && piece.first) arrivals.push_back(&piece);
    }
    std::ranges::stable_sort(
        arrivals, {}, [](const Piece* p) { return std::tuple(p->step, p->transfer->source); });
    std::map<std::tuple<std::size_t, RankId, std::size_t>, std::size_t> sharers;
    for (const Piece* piece : arrivals) ++sharers[message_key(*piece)];
    for (const Piece* piece : arrivals) {
      const Transfer& transfer = *piece->transfer;
      const bool staged = transfer.to.kind == Place::Kind::kStaging;
      if (spreads_ && cutter_.gathers() && sharers[message_key(*piece)] > 1) {
        const Address at{Area::kLanding, landed_};
        landing_.emplace(&transfer, at);
        landed_ += piece->range->bytes.count();
        // Without cells it is committed from where it has landed.
        if (staged && program_.cell.count() == 0) {
          place(piece->layer, transfer.to, at);
          continue;
        }
      }
      // Others land in their slot at once.
      if (staged) number(piece->layer, transfer.to, transfer.expert);
    }
    for (const UnitWave& wave : waves) {
      for (const LocalCopy& copy : wave.wave->stage_copies) {
        if (copy.rank == self_) number(wave.layer, copy.to, copy.expert);
      }
    }
  }

  static std::tuple<std::size_t, RankId, std::size_t> message_key(const Piece& piece) {
    return {piece.step, piece.transfer->source, piece.message};
  }

  void number(std::size_t layer, Place buffer, ExpertId expert) {
    place(layer, buffer, {Area::kStaging, staged_});
    const std::int64_t cell = program_.cell.count();
    staged_ += cell > 0 ? cell : plan_.size_of(layer, expert).count();
  }

  void place(std::size_t layer, Place buffer, Address at) {
    MOESHIFT_CHECK(buffer.kind == Place::Kind::kStaging);
    const bool is_new = staging_.emplace(std::pair(layer, buffer.index), at).second;
    MOESHIFT_CHECK(is_new);
  }

  Address address(std::size_t layer, Place place) const {
    if (place.kind == Place::Kind::kStaging) {
      return staging_.at({layer, place.index});
    }
    return {Area::kLive, program_.live_offset(layer, place.index)};
  }

  ExpertCopy resolve(std::size_t layer, const LocalCopy& copy) const {
    return {address(layer, copy.from), address(layer, copy.to), plan_.size_of(layer, copy.expert)};
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

  void add_messages(StagingUnit& unit) {
    if (cutter_.gathers()) {
      add_gathered(unit);
      return;
    }
    for (const Piece& piece : pieces_) {
      const Transfer& transfer = *piece.transfer;
      ExchangeStep& step = unit.steps[piece.step];
      const auto add = [&](RankId peer, Direction direction, Place place) {
        Address at = address(piece.layer, place);
        at.offset += piece.range->offset.count();
        step.messages.push_back({peer, direction, at, piece.range->bytes});
      };
      if (transfer.source == self_) {
        // What landed in its slot at once is sent on from there.
        step.relays |= transfer.from.kind == Place::Kind::kStaging ||
                       (cutter_.lands_direct() && transfer.group > 0);
        add(transfer.destination, Direction::kSend, transfer.from);
      }
      if (transfer.destination != self_) continue;
      step.relays |= transfer.to.kind == Place::Kind::kLive && transfer.group > 0;
      add(transfer.source, Direction::kReceive, transfer.to);
    }
  }

  /// All that a pair exchanges in one step is one message, or one per chunk.
  void add_gathered(StagingUnit& unit) {
    using Key = std::tuple<std::size_t, RankId, Direction, std::size_t>;
    std::map<Key, std::vector<const Piece*>> messages;
    for (const Piece& p : pieces_) {
      if (p.transfer->source == self_) {
        messages[{p.step, p.transfer->destination, Direction::kSend, p.message}].push_back(&p);
      }
      if (p.transfer->destination == self_) {
        messages[{p.step, p.transfer->source, Direction::kReceive, p.message}].push_back(&p);
      }
    }
    for (const auto& [key, parts] : messages) {
      const auto& [step, peer, direction, message] = key;
      Bytes bytes;
      for (const Piece* part : parts) bytes += part->range->bytes;
      const Address at = direction == Direction::kSend ? departure(unit.steps[step], parts)
                                                       : arrival(unit.steps[step], parts);
      unit.steps[step].messages.push_back({peer, direction, at, bytes});
    }
  }

  /// Where a message is received: side by side where its experts are committed from, or in the
  /// landing area, from which each goes its way.
  Address arrival(ExchangeStep& step, const std::vector<const Piece*>& parts) {
    for (const Piece* part : parts) {
      const bool direct = part->transfer->to.kind == Place::Kind::kLive;
      step.relays |= direct && part->transfer->group > 0;
      const auto landed = landing_.find(part->transfer);
      if (landed == landing_.end()) continue;
      const Address to = address(part->layer, part->transfer->to);
      if (to == landed->second) continue;
      step.scatter.push_back({landed->second, to, part->range->bytes});
    }
    const auto first = landing_.find(parts[0]->transfer);
    return first != landing_.end() ? first->second
                                   : address(parts[0]->layer, parts[0]->transfer->to);
  }

  /// Where a message is sent from: the expert's own place, or the send area it is gathered in.
  Address departure(ExchangeStep& step, const std::vector<const Piece*>& parts) {
    for (const Piece* part : parts) {
      step.relays |= part->transfer->from.kind == Place::Kind::kStaging ||
                     (cutter_.lands_direct() && part->transfer->group > 0);
    }
    if (parts.size() == 1) return address(parts[0]->layer, parts[0]->transfer->from);
    const Address start{Area::kSend, gathered_};
    for (const Piece* part : parts) {
      const Address to{Area::kSend, gathered_};
      gathered_ += part->range->bytes.count();
      step.gather.push_back({address(part->layer, part->transfer->from), to, part->range->bytes});
    }
    return start;
  }

  RankProgram& program_;
  const TransferPlan& plan_;
  RankId self_;
  MessageCutter& cutter_;
  std::vector<Piece> pieces_;
  bool spreads_;  ///< what arrives together does not stay together
  std::map<std::pair<std::size_t, std::uint32_t>, Address> staging_;
  std::map<const Transfer*, Address> landing_;
  std::int64_t staged_ = 0;    ///< bytes
  std::int64_t gathered_ = 0;  ///< bytes
  std::int64_t landed_ = 0;    ///< bytes
};

void add_peers(RankProgram& program) {
  std::set<RankId> send_to;
  std::set<RankId> receive_from;
  for (const StagingUnit& unit : program.units) {
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

void RankProgram::reserve_for(const RankProgram& other) {
  MOESHIFT_CHECK(slots_per_rank == other.slots_per_rank);
  live = std::max(live, other.live);
  staging_set = std::max(staging_set, other.staging_set);
  send_set = std::max(send_set, other.send_set);
  landing_set = std::max(landing_set, other.landing_set);
  const auto join = [](std::vector<RankId>& mine, const std::vector<RankId>& theirs) {
    std::vector<RankId> both;
    std::ranges::set_union(mine, theirs, std::back_inserter(both));
    mine = std::move(both);
  };
  join(send_to, other.send_to);
  join(receive_from, other.receive_from);
}

RankProgram make_rank_program(const TransferPlan& plan, RankId self, const ExpertLayouts& layout,
                              const MessageRules& rules) {
  RankProgram program;
  program.slots_per_rank =
      static_cast<std::int64_t>(std::max(plan.old_slots_per_rank, plan.new_slots_per_rank));
  for (const LayerId layer : all_ids<LayerId>(plan.layers.size())) {
    program.slot_bytes.push_back(plan.sizes.largest(layer).count());
    program.first_offset.push_back(program.live.count());
    program.live += plan.sizes.largest(layer) * program.slots_per_rank;
  }
  if (rules.cells) {
    program.cell = plan.sizes.largest();
    for (const std::int64_t bytes : program.slot_bytes)
      MOESHIFT_CHECK(bytes == program.cell.count());
  }
  std::vector<std::vector<UnitWave>> units;
  for (const LayerBatch& batch : plan.batches) {
    for (std::size_t wave = 0;; ++wave) {
      std::vector<UnitWave> waves = waves_of(plan, batch, wave);
      if (waves.empty()) break;
      units.push_back(std::move(waves));
    }
  }
  MessageCutter cutter(plan, layout, rules);
  for (std::size_t i = 0; i < units.size(); ++i) {
    const UnitTurn turn{.first = i == 0, .last = i + 1 == units.size()};
    program.units.push_back(UnitBuilder(program, plan, self, cutter).build(units[i], turn));
  }
  add_peers(program);
  return program;
}

}  // namespace moeshift
