// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/moves/check_schedule_report.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/number_text.hpp"
#include "moeshift/core/shown_text.hpp"
#include "moeshift/report/table.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

Json layer_json(const OperationLists& lists, LayerId layer) {
  return layer.is_none() ? Json() : Json(lists.number_of(layer));
}

Json finding_json(const OperationLists& lists, const Finding& finding) {
  Json json = {{"kind", name_of(finding.kind)},
               {"rank", finding.rank.value()},
               {"layer", layer_json(lists, finding.layer)},
               {"text", shown(finding.text)},
               {"calls_before", finding.calls_before},
               {"timeline", Json::array()}};
  for (const TimelineStep& step : finding.timeline) {
    json["timeline"].push_back(
        {{"rank", step.rank.value()}, {"stream", shown(step.stream)}, {"does", shown(step.does)}});
  }
  return json;
}

Json kinds_json(const Proof& proof) {
  Json kinds = Json::array();
  for (std::size_t kind = 0; kind < proof.counts.size(); ++kind) {
    if (proof.counts[kind] == 0) continue;
    kinds.push_back(
        {{"kind", name_of(static_cast<FindingKind>(kind))}, {"count", proof.counts[kind]}});
  }
  return kinds;
}

Bytes most(const IdVector<RankId, Bytes>& bytes) {
  return bytes.empty() ? Bytes(0) : *std::max_element(bytes.begin(), bytes.end());
}

/// Breaks a sentence at spaces, to columns of a terminal.
std::vector<std::string> lines_of(const std::string& text, std::size_t width) {
  std::vector<std::string> lines = {""};
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t space = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, space - at);
    const bool fits =
        lines.back().empty() || display_width(lines.back()) + 1 + display_width(word) <= width;
    if (!fits) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    at = space + 1;
  }
  return lines;
}

/// A row per step, the sentences of which take as many rows as they need.
Table timeline_table(const Finding& finding) {
  constexpr std::size_t kSentence = 52;
  Table table{finding.calls_before == 0
                  ? "how it comes about"
                  : fmt::format("how it comes about, after {} other calls", finding.calls_before),
              {"step", "rank", "stream", "does"},
              {}};
  for (std::size_t i = 0; i < finding.timeline.size(); ++i) {
    const TimelineStep& step = finding.timeline[i];
    const auto lines = lines_of(shown(step.does), kSentence);
    for (std::size_t k = 0; k < lines.size(); ++k) {
      table.rows.push_back({k == 0 ? Cell::count(i + 1) : Cell::text(""),
                            k == 0 ? Cell::count(std::int64_t{step.rank.value()}) : Cell::text(""),
                            Cell::text(k == 0 ? shown(step.stream) : ""), Cell::text(lines[k])});
    }
  }
  return table;
}

Table kinds_table(const OperationLists& lists, const Proof& proof) {
  Table table{"what is wrong", {"kind", "times", "first on rank", "layer"}, {}};
  for (std::size_t kind = 0; kind < proof.counts.size(); ++kind) {
    if (proof.counts[kind] == 0) continue;
    const auto first = std::find_if(
        proof.findings.begin(), proof.findings.end(),
        [&](const Finding& finding) { return finding.kind == static_cast<FindingKind>(kind); });
    table.rows.push_back(
        {Cell::text(std::string(name_of(first->kind))), Cell::count(proof.counts[kind]),
         Cell::count(std::int64_t{first->rank.value()}),
         first->layer.is_none() ? Cell::empty() : Cell::count(lists.number_of(first->layer))});
  }
  return table;
}

void add_verdict(const OperationLists& lists, const Proof& proof, Report& report) {
  if (proof.proven()) {
    report.add(Conclusion{
        fmt::format("proven for every interleaving: no deadlock, no byte used too early, and {} "
                    "slots end with the experts that are wanted",
                    human_count(static_cast<std::int64_t>(proof.slots_checked))),
        Tone::kGood,
        {}});
    return;
  }
  report.table(kinds_table(lists, proof));
  const Finding& first = proof.findings.front();
  for (const std::string& line : lines_of(shown(first.text), 79)) report.note(line);
  if (!first.timeline.empty()) report.table(timeline_table(first));
  report.add(Conclusion{
      fmt::format(
          "not proven: {}, on rank {}{}", name_of(first.kind), first.rank.value(),
          first.layer.is_none() ? "" : fmt::format(", layer {}", lists.number_of(first.layer))),
      Tone::kBad,
      {}});
}

}  // namespace

Report check_schedule_report(const std::string& schedule, const std::string& rules,
                             const OperationLists& lists, const Proof& proof) {
  Report report("check-schedule", "Is the schedule right in every interleaving?");
  report.result() = {{"schedule", shown(schedule)},
                     {"rules", rules},
                     {"proven", proof.proven()},
                     {"ranks", lists.ranks()},
                     {"calls", proof.calls},
                     {"messages", proof.messages},
                     {"slots_checked", proof.slots_checked},
                     {"bytes_checked", proof.bytes_checked},
                     {"staging_bytes_per_rank", most(proof.staging).count()},
                     {"kinds", kinds_json(proof)},
                     {"findings", Json::array()}};
  for (const Finding& finding : proof.findings) {
    report.result()["findings"].push_back(finding_json(lists, finding));
  }
  report.note(fmt::format("{} under the rules of {}: {}, {}, {}", shown(schedule), rules,
                          counted(lists.ranks(), "rank"), counted(proof.calls, "call"),
                          counted(proof.messages, "message")));
  report.note(fmt::format("staging memory of the fullest rank, all sets of buffers: {}",
                          human(most(proof.staging))));
  add_verdict(lists, proof, report);
  return report;
}

}  // namespace moeshift::cli
