// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/journal/journal.hpp"

#include <sstream>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/drill/fault_drill.hpp"
#include "moeshift/execute/host/host_pattern.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/worlds.hpp"

using namespace moeshift;

namespace {

Journal read(const std::string& text) {
  std::istringstream in(text);
  return read_journal(in, "journal");
}

std::string header(const test::Rearrangement& work) {
  return journal_line(JournalHeader{content_hash(work.old), content_hash(work.next), work.plan.hash,
                                    work.plan.ranks}) +
         "\n";
}

std::string committed(std::size_t rank, std::size_t layer) {
  return journal_line(JournalRecord{RankId(rank), LayerId(layer), 0, Phase::kCommitted, 1}) + "\n";
}

}  // namespace

TEST_CASE("a journal resumes from the layers that were committed") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 8, 2, 8);
  std::string text = header(work);
  for (const std::size_t rank : {0U, 1U}) text += committed(rank, 1);
  const Placement now = placement_after(read(text), work.old, work.next, work.plan);
  CHECK(std::ranges::equal(now.layer(LayerId(0)), work.old.layer(LayerId(0))));
  CHECK(std::ranges::equal(now.layer(LayerId(1)), work.next.layer(LayerId(1))));
}

TEST_CASE("a journal line that a crash cut off has not happened") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 8, 2, 8);
  const std::string cut = committed(0, 1).substr(0, 20);
  CHECK(read(header(work) + cut).decided.empty());
  CHECK_THROWS_AS(read(header(work) + cut + "\n" + committed(0, 0)), InputError);
}

TEST_CASE("a journal of another plan or without a header is refused") {
  const test::Rearrangement work = test::random_rearrangement(3, 2, 8, 2, 8);
  const test::Rearrangement other = test::random_rearrangement(4, 2, 8, 2, 8);
  CHECK_THROWS_AS(placement_after(read(header(other)), work.old, work.next, work.plan), InputError);
  CHECK_THROWS_AS(read(committed(0, 0)), InputError);
  CHECK_THROWS_AS(read(""), InputError);
}

TEST_CASE("a vote that one rank saw is a decision for all") {
  const test::Rearrangement work = test::random_rearrangement(5, 3, 8, 4, 4);
  const std::string voted =
      journal_line(JournalRecord{RankId(2), LayerId(1), 0, Phase::kVoted, 0}) + "\n";
  const std::string staged =
      journal_line(JournalRecord{RankId(2), LayerId(2), 0, Phase::kStaged, 0}) + "\n";
  const Journal journal = read(header(work) + voted + staged);
  const Placement now = placement_after(journal, work.old, work.next, work.plan);
  CHECK(std::ranges::equal(now.layer(LayerId(1)), work.next.layer(LayerId(1))));
  CHECK(std::ranges::equal(now.layer(LayerId(2)), work.old.layer(LayerId(2))));
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
