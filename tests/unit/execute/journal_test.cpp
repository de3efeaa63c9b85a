// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sstream>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/drill/fault_drill.hpp"
#include "moeshift/execute/host/host_pattern.hpp"
#include "moeshift/execute/journal/resume.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/worlds.hpp"

using namespace moeshift;

namespace {

/// `text` as a journal's writer seals it, line after line.
std::string written(const std::string& text) {
  std::string whole;
  std::string before;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    line = sealed(line, before);
    before = check_of(line);
    whole += line + "\n";
  }
  return whole;
}

Journal read_as_it_is(const std::string& text) {
  return read_journal(text, "journal");
}

Journal read(const std::string& text) {
  return read_as_it_is(written(text));
}

JournalHeader header_of(const test::Rearrangement& work, std::size_t run = 1) {
  return {.old_placement = content_hash(work.old),
          .new_placement = content_hash(work.next),
          .plan = work.plan.hash,
          .ranks = work.plan.ranks,
          .run = run};
}

std::string decided(const JournalHeader& run, std::size_t layer, std::size_t wave = 0,
                    Verdict verdict = Verdict::kCommit) {
  const Ballot ballot{RankId(0), {{LayerId(layer), wave}}};
  return decision_line(run, ballot, verdict) + "\n";
}

std::string step(const JournalHeader& run, std::size_t layer, Phase phase, std::size_t wave = 0) {
  return step_line(run, {RankId(1), LayerId(layer), wave, true, phase, 0}) + "\n";
}

Replan same_plan(const test::Rearrangement& work) {
  return [&work](const Placement&, std::size_t) { return work.plan; };
}

Placement now(const std::string& text, const test::Rearrangement& work) {
  return placement_after(read(text), work.old, work.next, same_plan(work));
}

bool is_row(const Placement& placement, std::size_t layer, const Placement& like) {
  return std::ranges::equal(placement.layer(LayerId(layer)), like.layer(LayerId(layer)));
}

/// Two runs, whose ranks write in any order; nothing in it happens twice.
std::string any_journal(Rng& rng) {
  const test::Rearrangement work = test::random_rearrangement(3, 6, 8, 2, 8);
  std::string text;
  std::size_t layer = 0;
  for (std::size_t number = 1; number <= 2; ++number) {
    const JournalHeader run = header_of(work, number);
    text += header_line(run) + "\n";
    for (std::size_t i = 0; i < 3; ++i, ++layer) {
      const bool commit = rng.below(3) > 0;
      text += decided(run, layer, 0, commit ? Verdict::kCommit : Verdict::kWithdraw);
      if (commit && rng.below(2) == 0) text += step(run, layer, Phase::kCommitted);
      if (rng.below(2) == 0) text += step(run, rng.below(6), Phase::kStaged);
    }
    text += end_line(run, RankId(rng.below(2)), "complete") + "\n";
  }
  return written(text);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream all(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> without(std::vector<std::string> lines, std::size_t line) {
  lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(line));
  return lines;
}

/// The number of the first line, from 1, that is refused; 0 = the journal is accepted.
std::size_t first_bad(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  try {
    static_cast<void>(read_as_it_is(text));
    return 0;
  } catch (const InputError& error) {
    return std::stoul(std::string(error.what()).substr(std::string("journal:").size()));
  }
}

/// A rearrangement whose layers take several waves each.
struct Waves {
  Waves() : work(plan_from(any(3), any(8))) {}

  static Placement any(std::uint64_t seed) {
    Rng rng(seed);
    return test::random_placement({2, 24, 2, 14}, rng);
  }
  static test::Rearrangement plan_from(Placement old, Placement next) {
    ScheduleOptions schedule;
    schedule.staging_bytes = Bytes(3 * 4096);
    return test::rearrangement(std::move(old), std::move(next), 1,
                               single_tensor_layout(Bytes(4096)), schedule);
  }

  test::Rearrangement work;
};

}  // namespace

TEST_CASE("a journal resumes from the layers that were decided on") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 8, 2, 8);
  const JournalHeader run = header_of(work);
  const std::string text = header_line(run) + "\n" + decided(run, 1) +
                           step(run, 1, Phase::kCommitted) + step(run, 0, Phase::kStaged);
  CHECK(is_row(now(text, work), 0, work.old));
  CHECK(is_row(now(text, work), 1, work.next));
  const std::string withdrawn = text + decided(run, 0, 0, Verdict::kWithdraw);
  CHECK(is_row(now(withdrawn, work), 0, work.old));
}

TEST_CASE("a journal cut anywhere is read up to its last whole line") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 8, 2, 8);
  const JournalHeader run = header_of(work);
  const std::string text = written(header_line(run) + "\n" + decided(run, 0) +
                                   step(run, 0, Phase::kCommitted) + decided(run, 1));
  for (std::size_t length = 0; length <= text.size(); ++length) {
    INFO("cut at " << length);
    const Journal journal = read_as_it_is(text.substr(0, length));
    CHECK(journal.whole_bytes <= length);
    const std::string whole = text.substr(0, journal.whole_bytes);
    CHECK((whole.empty() || whole.back() == '\n'));
    CHECK(journal.runs.empty() == whole.empty());
    CHECK(text.substr(journal.whole_bytes, length - journal.whole_bytes).find('\n') ==
          std::string::npos);
  }
}

TEST_CASE("a journal with any byte changed is refused") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 8, 2, 8);
  const JournalHeader run = header_of(work);
  const std::string text =
      written(header_line(run) + "\n" + decided(run, 0) + step(run, 0, Phase::kVoted));
  for (std::size_t at = 0; at + 1 < text.size(); ++at) {
    for (const int flip : {0x01, 0x20, 0x80}) {
      INFO("byte " << at << " xor " << flip);
      std::string forged = text;
      forged[at] = static_cast<char>(forged[at] ^ flip);
      CHECK_THROWS_AS(read_as_it_is(forged), InputError);
    }
  }
}

TEST_CASE("a whole line that is dropped, doubled, moved or put in is named by its number") {
  // Lines of any number of ranks and two runs: none but the last can be taken away unnoticed.
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 50)));
  INFO("seed " << seed);
  Rng rng = Rng::stream(60121, seed);
  const std::vector<std::string> lines = lines_of(any_journal(rng));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i + 1 < lines.size()) CHECK(first_bad(without(lines, i)) == i + 1);
    const std::size_t j = rng.below(static_cast<std::uint32_t>(lines.size()));
    std::vector<std::string> swapped = lines;
    std::swap(swapped[i], swapped[j]);
    if (i != j) CHECK(first_bad(swapped) == std::min(i, j) + 1);
    std::vector<std::string> doubled = lines;
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), lines[i]);
    CHECK(first_bad(doubled) == i + 2);  // the last one, too
    std::vector<std::string> stranger = lines;
    stranger.insert(stranger.begin() + static_cast<std::ptrdiff_t>(i), lines[j]);
    const std::size_t bad = first_bad(stranger);
    CHECK(bad == (i == j ? i + 2 : i + 1));
  }
}

TEST_CASE("headers of two rearrangements in one journal are refused") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 8, 2, 8);
  const test::Rearrangement other = test::random_rearrangement(4, 2, 8, 2, 8);
  const std::string text = header_line(header_of(work)) + "\n";
  CHECK_THROWS_AS(read(text + header_line(header_of(other, 2)) + "\n"), InputError);
  CHECK_THROWS_AS(now(header_line(header_of(other)) + "\n", work), InputError);
  // A line of another plan, or of another run, is none of this one's.
  CHECK_THROWS_AS(read(text + decided(header_of(other), 0)), InputError);
  CHECK_THROWS_AS(read(text + decided(header_of(work, 2), 0)), InputError);
  CHECK_THROWS_AS(read(decided(header_of(work), 0)), InputError);
  CHECK_THROWS_AS(read("a letter to a friend\n"), InputError);
}

TEST_CASE("a resumed run whose start the runs before it do not lead to is refused") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 8, 2, 8);
  const JournalHeader run = header_of(work);
  // Layer 0 went live, but the second run says that it began where the first did.
  const std::string text =
      header_line(run) + "\n" + decided(run, 0) + header_line(header_of(work, 2)) + "\n";
  CHECK_THROWS_AS(now(text, work), InputError);
}

TEST_CASE("waves, layers, ranks and phases that do not exist are refused") {
  const Waves waves;
  const JournalHeader run = header_of(waves.work);
  const std::string text = header_line(run) + "\n";
  const std::size_t count = waves.work.plan.layers[0].waves.size();
  REQUIRE(count > 1);
  CHECK_THROWS_AS(now(text + decided(run, 0, 5000), waves.work), InputError);
  CHECK_THROWS_AS(now(text + decided(run, 0, 1), waves.work), InputError);  // 0 first
  CHECK_THROWS_AS(now(text + decided(run, 7), waves.work), InputError);
  CHECK_THROWS_AS(now(text + decided(run, 0) + decided(run, 0), waves.work), InputError);
  CHECK_THROWS_AS(read(text + step(run, 0, Phase::kCommitted)), InputError);  // never decided
  CHECK_THROWS_AS(read(text + step(run, 0, Phase::kSetup)), InputError);
  LayerStep stranger{RankId(2), LayerId(0), 0, true, Phase::kStaged, 0};
  CHECK_THROWS_AS(read(text + step_line(run, stranger) + "\n"), InputError);
}

TEST_CASE("waves of a resumed run are waves of its own plan") {
  const Waves waves;
  const JournalHeader first = header_of(waves.work);
  const std::string began = header_line(first) + "\n" + decided(first, 0);
  const Placement halfway = now(began, waves.work);
  const test::Rearrangement rest = Waves::plan_from(halfway, waves.work.next);
  const JournalHeader second = header_of(rest, 2);
  const std::size_t count = rest.plan.layers[0].waves.size();
  std::string text = began + header_line(second) + "\n";
  for (std::size_t wave = 0; wave < count; ++wave) text += decided(second, 0, wave);
  const Placement end = placement_after(read(text), waves.work.old, waves.work.next,
                                        [&](const Placement& from, std::size_t) {
                                          return Waves::plan_from(from, waves.work.next).plan;
                                        });
  CHECK(is_row(end, 0, waves.work.next));
  CHECK(is_row(end, 1, waves.work.old));
}

TEST_CASE(
    "a journal of version 2 is read, and gone on with in version 3, chained to its last line") {
  const test::Rearrangement work = test::random_rearrangement(5, 3, 8, 4, 4);
  const JournalHeader run = header_of(work);
  std::string header = header_line(run);
  header.replace(header.find(":3"), 2, ":2");
  const auto alone = [](const std::string& line) { return sealed(line, "") + "\n"; };
  const auto trimmed = [](std::string line) {
    line.pop_back();
    return line;
  };
  const std::string old = alone(header) + alone(trimmed(decided(run, 1)));
  const Journal journal = read_as_it_is(old);
  CHECK(journal.version == 2);
  CHECK(journal.runs[0].committed.size() == 1);
  std::string resumed = header_line(header_of(work, 2));
  const std::string_view last = std::string_view(old).substr(0, old.size() - 1);
  CHECK(read_as_it_is(old + sealed(resumed, check_of(last)) + "\n").runs.size() == 2);
  CHECK_THROWS_AS(read_as_it_is(old + alone(resumed)), InputError);
  resumed.replace(resumed.find(":3"), 2, ":2");  // no older program has gone on after a newer one
  CHECK_THROWS_AS(read(header_line(run) + "\n" + resumed + "\n"), InputError);
}

TEST_CASE("a journal of version 1 is read: any rank's vote is a decision for all") {
  const test::Rearrangement work = test::random_rearrangement(5, 3, 8, 4, 4);
  std::string text = "{\"moeshift_journal\":1,\"old_placement\":\"" + content_hash(work.old) +
                     "\",\"new_placement\":\"" + content_hash(work.next) + "\",\"plan\":\"" +
                     work.plan.hash + "\",\"ranks\":4}\n";
  text += "{\"rank\":2,\"layer\":1,\"wave\":0,\"phase\":\"voted\",\"epoch\":0}\n";
  text += "{\"rank\":3,\"layer\":1,\"wave\":0,\"phase\":\"committed\",\"epoch\":1}\n";
  text += "{\"rank\":2,\"layer\":2,\"wave\":0,\"phase\":\"staged\",\"epoch\":0}\n";
  const Journal journal = read_as_it_is(text);
  CHECK(journal.version == 1);
  const Placement after = placement_after(journal, work.old, work.next, same_plan(work));
  CHECK(is_row(after, 1, work.next));
  CHECK(is_row(after, 2, work.old));
  text += "{\"rank\":0,\"layer\":2,\"wave\":5,\"phase\":\"voted\",\"epoch\":0}\n";
  CHECK_THROWS_AS(placement_after(read_as_it_is(text), work.old, work.next, same_plan(work)),
                  InputError);
}

TEST_CASE("fault drills are read strictly") {
  const FaultDrill drill = parse_fault_drill("sleep:2,5,voting,1.5");
  CHECK(drill.rank == RankId(2));
  CHECK(drill.layer == LayerId(5));
  CHECK(drill.phase == Phase::kStaged);
  CHECK(drill.duration == Seconds(1.5));
  CHECK(parse_fault_drills("hash:1+memory:2").size() == 2);
  for (const char* bad : {"", "kill", "kill:1,2", "kill:1,2,never", "kill:-1,2,voting", "hash:1,2",
                          "melt:1", "sleep:1,2,voting,x", "hash:1+"}) {
    CHECK_THROWS_AS(parse_fault_drills(bad), InputError);
  }
}

TEST_CASE("the pattern check counts wrong bytes and finds the first at any offset") {
  constexpr std::size_t kWords = 1500;
  std::vector<std::byte> slot(kWords * 8);
  write_pattern(slot.data(), 99, 7, kWords);
  CHECK(check_pattern(slot.data(), 99, 7, kWords).wrong_bytes == 0);
  CHECK(check_pattern(slot.data(), 99, 8, kWords).wrong_bytes > kWords);
  CHECK(check_pattern(slot.data(), 98, 7, kWords).wrong_bytes > kWords);
  for (const std::size_t offset :
       {std::size_t{0}, std::size_t{4095}, std::size_t{4097}, kWords * 8 - 1}) {
    slot[offset] = ~slot[offset];
    const PatternCheck check = check_pattern(slot.data(), 99, 7, kWords);
    CHECK(check.wrong_bytes == 1);
    CHECK(check.first_offset == offset);
    slot[offset] = ~slot[offset];
  }
}
