// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/journal/journal_lines.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/sha256.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kCheck = ",\"check\":\"";
constexpr std::size_t kCheckDigits = 8;
constexpr std::string_view kHeaderStart = "{\"moeshift_journal\":";

std::string check_of(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.hex().substr(0, kCheckDigits);
}

/// @param object without its closing brace.
std::string checked(std::string object) {
  const std::string check = check_of(object);
  return std::move(object) + std::string(kCheck) + check + "\"}";
}

/// What every line of a run begins with: twelve digits of the plan's hash tell plans apart.
std::string begin(const JournalHeader& run, RankId rank) {
  return fmt::format(R"({{"run":{},"plan":"{}","rank":{})", run.run, run.plan.substr(0, 12),
                     rank.value());
}

}  // namespace

std::string header_line(const JournalHeader& header) {
  return checked(fmt::format(
      R"({}2,"run":{},"old_placement":"{}","new_placement":"{}","plan":"{}","ranks":{})",
      kHeaderStart, header.run, header.old_placement, header.new_placement, header.plan,
      header.ranks));
}

std::string step_line(const JournalHeader& run, const LayerStep& step) {
  return checked(fmt::format(R"({},"layer":{},"wave":{},"phase":"{}","epoch":{})",
                             begin(run, step.rank), step.layer.value(), step.wave,
                             name_of(step.phase), step.epoch));
}

std::string decision_line(const JournalHeader& run, const Ballot& ballot, Verdict verdict) {
  std::string parts;
  for (const auto& [layer, wave] : ballot.parts) {
    parts += fmt::format("{}[{},{}]", parts.empty() ? "" : ",", layer.value(), wave);
  }
  return checked(fmt::format(R"({},"decision":"{}","parts":[{}])", begin(run, ballot.rank),
                             verdict == Verdict::kCommit ? "commit" : "withdraw", parts));
}

std::string end_line(const JournalHeader& run, RankId rank, const std::string& outcome) {
  const std::string text =
      Json(outcome).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return checked(fmt::format(R"({},"end":{})", begin(run, rank), text));
}

bool is_sound(std::string_view line) {
  const std::size_t tail = kCheck.size() + kCheckDigits + 2;
  if (line.size() < tail || !line.ends_with("\"}")) return false;
  const std::string_view object = line.substr(0, line.size() - tail);
  const std::string_view check = line.substr(line.size() - tail);
  return check.starts_with(kCheck) && check.substr(kCheck.size(), kCheckDigits) == check_of(object);
}

bool may_begin_header(std::string_view text) {
  const std::size_t common = std::min(text.size(), kHeaderStart.size());
  return text.substr(0, common) == kHeaderStart.substr(0, common);
}

}  // namespace moeshift
