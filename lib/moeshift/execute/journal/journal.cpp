// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/journal/journal.hpp"

#include <algorithm>
#include <istream>
#include <map>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/sha256.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

JournalHeader header_of(const JsonReader& json) {
  return {.old_placement = json.at("old_placement").string(),
          .new_placement = json.at("new_placement").string(),
          .plan = json.at("plan").string(),
          .ranks = static_cast<std::size_t>(json.at("ranks").whole(1))};
}

JournalRecord record_of(const JsonReader& json) {
  return {.rank = RankId(json.at("rank").whole()),
          .layer = LayerId(json.at("layer").whole()),
          .wave = static_cast<std::size_t>(json.at("wave").whole()),
          .phase = Phase::kVoted,
          .epoch = static_cast<std::uint32_t>(json.at("epoch").whole())};
}

void add_header(Journal& journal, const JsonReader& json) {
  const JournalHeader header = header_of(json);
  if (journal.header.ranks == 0) {
    journal.header = header;
  } else if (header.new_placement != journal.header.new_placement) {
    json.fail("a resumed run of the same rearrangement");
  }
}

void add_line(Journal& journal, const JsonReader& json) {
  if (json.has("moeshift_journal")) {
    add_header(journal, json);
  } else if (journal.header.ranks == 0) {
    json.fail("a journal's header first");
  } else if (const auto phase = json.find("phase");
             phase && (phase->string() == "voted" || phase->string() == "committed")) {
    journal.decided.push_back(record_of(json));
  }
}

/// The slots of a layer of one rank after `waves` committed waves.
void apply_waves(std::span<ExpertId> row, const Placement& old, const Placement& next,
                 const LayerMoves& moves, LayerId layer, RankId rank, std::size_t waves) {
  const bool whole = waves == moves.waves.size();
  const std::span<const ExpertId> slots = (whole ? next : old).rank_slots(layer, rank);
  std::copy(slots.begin(), slots.end(), row.begin());
  if (whole) return;
  for (std::size_t wave = 0; wave < waves; ++wave) {
    for (const LocalCopy& copy : moves.waves[wave].commit_copies) {
      if (copy.rank == rank) row[copy.to.index] = copy.expert;
    }
  }
}

/// Waves of each layer that were voted for. One voice is enough: a vote is unanimous or none.
std::map<LayerId, std::size_t> waves_decided(const Journal& journal) {
  std::map<LayerId, std::size_t> waves;
  for (const JournalRecord& record : journal.decided) {
    std::size_t& decided = waves[record.layer];
    decided = std::max(decided, record.wave + 1);
  }
  return waves;
}

}  // namespace

std::string journal_line(const JournalHeader& header) {
  return Json{{"moeshift_journal", 1},
              {"old_placement", header.old_placement},
              {"new_placement", header.new_placement},
              {"plan", header.plan},
              {"ranks", header.ranks}}
      .dump();
}

std::string journal_line(const JournalRecord& record) {
  return fmt::format(R"({{"rank":{},"layer":{},"wave":{},"phase":"{}","epoch":{}}})",
                     record.rank.value(), record.layer.value(), record.wave, name_of(record.phase),
                     record.epoch);
}

std::string journal_end_line(RankId rank, const std::string& outcome) {
  return Json{{"rank", rank.value()}, {"end", outcome}}.dump();
}

Journal read_journal(std::istream& in, const std::string& source) {
  Journal journal;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    // Only a whole line ends with a newline: what a crash cut off has not happened.
    if (in.eof() || line.empty()) continue;
    const std::string where = source + ":" + std::to_string(number);
    const Json document = parse_json(line, where);
    add_line(journal, JsonReader(document, where));
  }
  if (journal.header.ranks == 0) throw InputError(source, "expected a journal, found no header");
  return journal;
}

std::string content_hash(const Placement& placement) {
  Sha256 hash;
  const auto add = [&hash](std::uint64_t number) {
    hash.update(std::as_bytes(std::span<const std::uint64_t>(&number, 1)));
  };
  add(placement.layers());
  add(placement.slots());
  add(placement.experts());
  add(placement.ranks());
  for (const ExpertId expert : placement.physical_to_logical().items()) add(expert.value());
  return hash.hex();
}

Placement placement_after(const Journal& journal, const Placement& old, const Placement& next,
                          const TransferPlan& plan) {
  if (journal.header.plan != plan.hash) {
    throw InputError("--resume", "the journal is about another rearrangement (plan " +
                                     journal.header.plan.substr(0, 12) + ", not " +
                                     plan.hash.substr(0, 12) + ")");
  }
  if (old.slots() != next.slots() || old.ranks() != next.ranks()) {
    throw InputError("--resume", "cannot resume a change of the world's shape");
  }
  const std::map<LayerId, std::size_t> waves = waves_decided(journal);
  IdMatrix<LayerId, SlotId, ExpertId> slots = old.physical_to_logical();
  for (const LayerId layer : all_ids<LayerId>(old.layers())) {
    const LayerMoves& moves = plan.layers[layer.index()];
    const auto decided = waves.find(moves.layer);
    if (decided == waves.end()) continue;
    for (const RankId rank : all_ids<RankId>(old.ranks())) {
      const std::span<ExpertId> row =
          slots.row(layer).subspan(rank.index() * old.slots_per_rank(), old.slots_per_rank());
      apply_waves(row, old, next, moves, layer, rank, decided->second);
    }
  }
  return Placement(old.experts(), old.ranks(), std::move(slots));
}

}  // namespace moeshift
