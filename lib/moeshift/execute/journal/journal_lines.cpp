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
constexpr std::string_view kClose = "\"}";
constexpr std::size_t kTail = kCheck.size() + kCheckDigits + kClose.size();
constexpr std::string_view kHeaderStart = "{\"moeshift_journal\":";

/// @param object up to its check.
std::string digits_of(std::string_view object, std::string_view before) {
  Sha256 hash;
  hash.update(before);
  hash.update(object);
  return hash.hex().substr(0, kCheckDigits);
}

/// What every line of a run begins with: twelve digits of the plan's hash tell plans apart.
std::string begin(const JournalHeader& run, RankId rank) {
  return fmt::format(R"({{"run":{},"plan":"{}","rank":{})", run.run, run.plan.substr(0, 12),
                     rank.value());
}

}  // namespace

std::string header_line(const JournalHeader& header) {
  return fmt::format(
      R"({}{},"run":{},"old_placement":"{}","new_placement":"{}","plan":"{}","ranks":{}}})",
      kHeaderStart, kJournalVersion, header.run, header.old_placement, header.new_placement,
      header.plan, header.ranks);
}

std::string step_line(const JournalHeader& run, const LayerStep& step) {
  return fmt::format(R"({},"layer":{},"wave":{},"phase":"{}","epoch":{}}})", begin(run, step.rank),
                     step.layer.value(), step.wave, name_of(step.phase), step.epoch);
}

std::string decision_line(const JournalHeader& run, const Ballot& ballot, Verdict verdict) {
  std::string parts;
  for (const auto& [layer, wave] : ballot.parts) {
    parts += fmt::format("{}[{},{}]", parts.empty() ? "" : ",", layer.value(), wave);
  }
  return fmt::format(R"({},"decision":"{}","parts":[{}]}})", begin(run, ballot.rank),
                     verdict == Verdict::kCommit ? "commit" : "withdraw", parts);
}

std::string end_line(const JournalHeader& run, RankId rank, const std::string& outcome) {
  const std::string text =
      Json(outcome).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return fmt::format(R"({},"end":{}}})", begin(run, rank), text);
}

std::string sealed(std::string object, std::string_view before) {
  object.pop_back();  // its closing brace
  const std::string digits = digits_of(object, before);
  return std::move(object) + std::string(kCheck) + digits + std::string(kClose);
}

std::string_view check_of(std::string_view line) {
  if (line.size() < kTail || !line.ends_with(kClose)) return {};
  const std::string_view tail = line.substr(line.size() - kTail);
  if (!tail.starts_with(kCheck)) return {};
  return tail.substr(kCheck.size(), kCheckDigits);
}

bool is_sound(std::string_view line, std::string_view before) {
  const std::string_view check = check_of(line);
  return !check.empty() && check == digits_of(line.substr(0, line.size() - kTail), before);
}

bool may_begin_header(std::string_view text) {
  const std::size_t common = std::min(text.size(), kHeaderStart.size());
  return text.substr(0, common) == kHeaderStart.substr(0, common);
}

}  // namespace moeshift
