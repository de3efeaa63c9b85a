// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/drill/fault_drill.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

using Kind = FaultDrill::Kind;

struct Form {
  std::string_view name;
  Kind kind;
  std::string_view fields;  // l = layer, r = rank, s = slot, p = phase, t = seconds
};

constexpr std::array kForms = {
    Form{"corrupt", Kind::kCorrupt, "lrs"}, Form{"kill", Kind::kKill, "rlp"},
    Form{"sleep", Kind::kSleep, "rlpt"},    Form{"hash", Kind::kHash, "r"},
    Form{"lose", Kind::kLose, "rl"},        Form{"error", Kind::kError, "rl"},
    Form{"memory", Kind::kMemory, "r"},     Form{"interrupt", Kind::kInterrupt, "rlp"}};

[[noreturn]] void refuse(const std::string& text) {
  throw InputError("inject", "'" + text +
                                 "': expected corrupt:layer,rank,slot, kill:rank,layer,phase, "
                                 "sleep:rank,layer,phase,seconds, hash:rank, lose:rank,layer, "
                                 "error:rank,layer, memory:rank or interrupt:rank,layer,phase; "
                                 "phase is staging, voting or committing");
}

std::vector<std::string> fields_of(std::string_view list) {
  std::vector<std::string> fields;
  while (true) {
    const std::size_t comma = list.find(',');
    fields.emplace_back(list.substr(0, comma));
    if (comma == std::string_view::npos) return fields;
    list.remove_prefix(comma + 1);
  }
}

template <class Number>
Number number_of(const std::string& field, const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc{} || end != field.data() + field.size()) refuse(text);
  return value;
}

Phase phase_of(const std::string& field, const std::string& text) {
  if (field == "staging") return Phase::kStaging;
  if (field == "voting") return Phase::kStaged;
  if (field == "committing") return Phase::kVoted;
  refuse(text);
}

void set_field(FaultDrill& drill, char what, const std::string& field, const std::string& text) {
  if (what == 'p') {
    drill.phase = phase_of(field, text);
  } else if (what == 't') {
    drill.duration = Seconds(number_of<double>(field, text));
  } else if (what == 'r') {
    drill.rank = RankId(number_of<std::uint32_t>(field, text));
  } else if (what == 'l') {
    drill.layer = LayerId(number_of<std::uint32_t>(field, text));
  } else {
    drill.slot = number_of<std::size_t>(field, text);
  }
}

}  // namespace

FaultDrill parse_fault_drill(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = std::string_view(text).substr(0, colon);
  const auto* form = std::ranges::find(kForms, name, &Form::name);
  if (form == kForms.end() || colon == std::string::npos) refuse(text);
  const std::vector<std::string> fields = fields_of(std::string_view(text).substr(colon + 1));
  if (fields.size() != form->fields.size()) refuse(text);
  FaultDrill drill;
  drill.kind = form->kind;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    set_field(drill, form->fields[i], fields[i], text);
  }
  return drill;
}

std::vector<FaultDrill> parse_fault_drills(const std::string& text) {
  std::vector<FaultDrill> drills;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t plus = std::min(text.find('+', start), text.size());
    drills.push_back(parse_fault_drill(text.substr(start, plus - start)));
    start = plus + 1;
  }
  return drills;
}

void refuse_idle_drills(const std::vector<FaultDrill>& drills, const TransferPlan& plan) {
  const auto refuse_number = [](const char* what, std::size_t number, const std::string& there) {
    throw InputError("inject", fmt::format("no {} {}: expected {}", what, number, there));
  };
  for (const FaultDrill& drill : drills) {
    if (drill.rank.index() >= plan.ranks) {
      refuse_number("rank", drill.rank.index(), fmt::format("one below {}", plan.ranks));
    }
    if (drill.kind == Kind::kCorrupt && drill.slot >= plan.new_slots_per_rank) {
      refuse_number("slot", drill.slot, fmt::format("one below {}", plan.new_slots_per_rank));
    }
    if (drill.kind == Kind::kHash || drill.kind == Kind::kMemory) continue;
    if (std::ranges::find(plan.layers, drill.layer, &LayerMoves::layer) != plan.layers.end()) {
      continue;
    }
    refuse_number("layer", drill.layer.index(),
                  fmt::format("one of {} to {}, by their numbers in the model",
                              plan.layers.front().layer.value(), plan.layers.back().layer.value()));
  }
}

}  // namespace moeshift
