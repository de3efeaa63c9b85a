// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/journal/journal.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"

namespace moeshift {
namespace {

/// No line that we write comes near it: a decision about 4,096 layers has 50,000 characters.
constexpr std::size_t kLongestLine = std::size_t{1} << 20;

constexpr std::int64_t kMostRanks = std::int64_t{1} << 20;

bool is_digest(const std::string& text) {
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return text.size() == 64 && std::ranges::all_of(text, hex);
}

std::string digest_at(const JsonReader& json, std::string_view key) {
  const JsonReader value = json.at(key);
  if (!is_digest(value.string())) value.fail("a SHA-256 in 64 hexadecimal digits");
  return value.string();
}

/// Reads line after line; knows the run that it is in.
class JournalReader {
 public:
  explicit JournalReader(Journal& journal) : journal_(journal) {}

  void read(std::string_view line, std::size_t number) {
    number_ = number;
    const std::string where = fmt::format("{}:{}", journal_.source, number);
    if (line.size() > kLongestLine) throw InputError(where, "the line is too long for a journal");
    const nlohmann::ordered_json document = parse_json(line, where);
    const JsonReader json(document, where);
    if (json.has("moeshift_journal")) version_ = version_of(json);
    if (version_ == 0) json.fail("a journal's header first");
    check_chain(line, where);
    if (json.has("moeshift_journal")) {
      add_header(json);
    } else {
      add_event(json);
    }
  }

 private:
  /// An older program cannot have gone on where a newer one stopped.
  [[nodiscard]] int version_of(const JsonReader& json) const {
    return static_cast<int>(
        json.at("moeshift_journal").whole(std::max(version_, 1), kJournalVersion));
  }

  void check_chain(std::string_view line, const std::string& where) {
    const bool chained = version_ >= 3;
    if (version_ >= 2 && !is_sound(line, chained ? before_ : std::string_view())) {
      throw InputError(where,
                       fmt::format("the line is not {}: the journal is damaged, and what came "
                                   "of the run cannot be known",
                                   chained ? "as it was written after the one before it (its "
                                             "check differs; a line may have been changed, "
                                             "dropped, doubled or moved)"
                                           : "as it was written (its check differs)"));
    }
    before_ = check_of(line);
  }

  JournalRun& run() { return journal_.runs.back(); }

  void add_header(const JsonReader& json) {
    JournalRun next;
    next.line = number_;
    next.header = {.old_placement = digest_at(json, "old_placement"),
                   .new_placement = digest_at(json, "new_placement"),
                   .plan = digest_at(json, "plan"),
                   .ranks = static_cast<std::size_t>(json.at("ranks").whole(1, kMostRanks)),
                   .run = journal_.runs.size() + 1};
    const auto number = static_cast<std::int64_t>(next.header.run);
    if (version_ >= 2) static_cast<void>(json.at("run").whole(number, number));
    journal_.version = std::min(journal_.version, version_);
    if (!journal_.runs.empty()) {
      const JournalHeader& first = journal_.runs.front().header;
      const bool same =
          first.new_placement == next.header.new_placement && first.ranks == next.header.ranks;
      if (!same) json.fail("a resumed run of the same rearrangement");
    }
    journal_.runs.push_back(std::move(next));
    decided_.clear();
  }

  void add_event(const JsonReader& json) {
    const auto last = static_cast<std::int64_t>(run().header.ranks) - 1;
    const RankId rank(json.at("rank").whole(0, last));
    if (version_ >= 2) check_run(json);
    if (const auto end = json.find("end")) {
      static_cast<void>(end->string());
      run().ended.push_back(rank);
    } else if (version_ >= 2 && json.has("decision")) {
      add_decision(json);
    } else {
      add_step(json);
    }
  }

  void check_run(const JsonReader& json) {
    const auto number = static_cast<std::int64_t>(run().header.run);
    static_cast<void>(json.at("run").whole(number, number));
    const JsonReader plan = json.at("plan");
    if (plan.string() != run().header.plan.substr(0, 12)) plan.fail("the plan of its run");
  }

  void add_decision(const JsonReader& json) {
    const JsonReader decision = json.at("decision");
    const bool commit = decision.string() == "commit";
    if (!commit && decision.string() != "withdraw") decision.fail("commit or withdraw");
    if (json.at("parts").size() == 0) json.at("parts").fail("at least one layer");
    for (const JsonReader& part : json.at("parts").items()) {
      const LayerId layer(part.at(0).whole(0, kLargestNumber));
      const auto wave = static_cast<std::size_t>(part.at(1).whole(0, kLargestNumber));
      const auto [known, fresh] = decided_.try_emplace({layer, wave}, commit);
      if (!fresh) part.fail("a layer that was not decided on before");
      if (commit) run().committed.push_back({layer, wave, number_});
    }
  }

  void add_step(const JsonReader& json) {
    const LayerId layer(json.at("layer").whole(0, kLargestNumber));
    const auto wave = static_cast<std::size_t>(json.at("wave").whole(0, kLargestNumber));
    static_cast<void>(json.at("epoch").whole(0, kLargestNumber));
    const JsonReader phase = json.at("phase");
    const std::string name = phase.string();
    constexpr std::array kPhases = {Phase::kStaging, Phase::kStaged, Phase::kVoted,
                                    Phase::kCommitted, Phase::kVerified};
    if (std::ranges::none_of(kPhases, [&](Phase p) { return name_of(p) == name; })) {
      phase.fail("staging, staged, voted, committed or verified");
    }
    if (name != "voted" && name != "committed") return;
    const auto [known, fresh] = decided_.try_emplace({layer, wave}, true);
    if (version_ >= 2 && (fresh || !known->second)) phase.fail("a decision to commit before it");
    if (fresh) run().committed.push_back({layer, wave, number_});
  }

  static constexpr std::int64_t kLargestNumber = std::int64_t{1} << 31;

  Journal& journal_;
  int version_ = 0;
  std::size_t number_ = 0;
  std::string_view before_;                                  ///< the check of the line before
  std::map<std::pair<LayerId, std::size_t>, bool> decided_;  ///< of this run: to commit?
};

}  // namespace

Journal read_journal(std::string_view text, const std::string& source) {
  Journal journal;
  journal.source = source;
  JournalReader reader(journal);
  for (std::size_t number = 1, start = 0;; ++number) {
    const std::size_t newline = text.find('\n', start);
    if (newline == std::string_view::npos) break;
    reader.read(text.substr(start, newline - start), number);
    start = newline + 1;
    journal.whole_bytes = start;
  }
  const std::string_view tail = text.substr(journal.whole_bytes);
  if (journal.runs.empty() && !may_begin_header(tail)) {
    throw InputError(source, "expected a journal, found something else");
  }
  return journal;
}

std::string doubt_of(const Journal& journal) {
  if (journal.version >= kJournalVersion) return "";
  return fmt::format(
      "{}: written by an older version (journal version {}, now {}): {} would not be "
      "noticed; going on as it says",
      journal.source, journal.version, kJournalVersion,
      journal.version == 1 ? "a line that was changed, dropped, doubled or moved"
                           : "a whole line that was dropped, doubled or moved");
}

}  // namespace moeshift
