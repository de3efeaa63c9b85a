// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/journal/journal_file.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <unistd.h>

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using namespace moeshift;

namespace {

const std::string kDigest(64, 'a');

JournalHeader any_header() {
  return {.old_placement = kDigest, .new_placement = kDigest, .plan = kDigest, .ranks = 4};
}

LayerStep staged(std::size_t rank) {
  return {RankId(rank), LayerId(0), 0, true, Phase::kStaged, 0};
}

std::string content(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

constexpr Seconds kPatience{2.0};

}  // namespace

TEST_CASE("the torn end of a journal is cut off before a resumed run writes") {
  const test::Folder folder;
  const std::string path = folder / "journal";
  JournalFile(path, JournalUse::kStart, kPatience).start(any_header());
  const std::string header = content(path);
  for (const std::size_t length : {header.size() - 1, header.size() / 2, std::size_t{0}}) {
    INFO("cut at " << length);
    write(path, header.substr(0, length));  // nothing has happened: it begins afresh
    JournalFile(path, JournalUse::kResume, kPatience).start(any_header());
    CHECK(content(path) == header);
    write(path, header.substr(0, length));
    JournalFile(path, JournalUse::kStart, kPatience).start(any_header());
    CHECK(content(path) == header);
  }
  write(path, header + header.substr(0, 50));
  JournalFile(path, JournalUse::kResume, kPatience).start(any_header());
  CHECK(JournalFile(path, JournalUse::kResume, kPatience).read().runs.size() == 2);
}

TEST_CASE("what is no journal is never cut nor written to") {
  const test::Folder folder;
  const std::string path = folder / "letter";
  write(path, "a letter without a newline");
  CHECK_THROWS_AS(JournalFile(path, JournalUse::kStart, kPatience), InputError);
  CHECK(content(path) == "a letter without a newline");
  CHECK_THROWS_AS(JournalFile("/dev/null", JournalUse::kStart, kPatience), InputError);
  CHECK_THROWS_AS(JournalFile(folder / "missing", JournalUse::kResume, kPatience), InputError);
}

TEST_CASE("a journal never lies on the descriptors of standard input, output or error") {
  const test::Folder folder;
  const std::string path = folder / "journal";
  const int out = dup(STDOUT_FILENO);
  ssize_t talked = 0;
  REQUIRE(close(STDOUT_FILENO) == 0);
  {
    JournalFile journal(path, JournalUse::kStart, kPatience);
    journal.start(any_header());
    talked = ::write(STDOUT_FILENO, "talk", 4);
  }
  REQUIRE(dup2(out, STDOUT_FILENO) == STDOUT_FILENO);
  close(out);
  CHECK(talked == -1);
  CHECK(content(path).find("talk") == std::string::npos);
}

TEST_CASE("who asks first decides for all, in this process and in others") {
  const test::Folder folder;
  const std::string path = folder / "journal";
  JournalFile leader(path, JournalUse::kStart, kPatience);
  leader.start(any_header());
  JournalFile other(path, JournalUse::kJoin, kPatience);
  other.start(any_header());
  const Ballot first{RankId(0), {{LayerId(0), 0}, {LayerId(1), 0}}};
  const Ballot second{RankId(0), {{LayerId(2), 0}}};
  CHECK(leader.decide(first, Verdict::kCommit) == Verdict::kCommit);
  CHECK(other.decide(first, Verdict::kWithdraw) == Verdict::kCommit);
  CHECK(other.decide(second, Verdict::kWithdraw) == Verdict::kWithdraw);
  CHECK(leader.decide(second, Verdict::kCommit) == Verdict::kWithdraw);
  CHECK(leader.decide(second, Verdict::kCommit) == Verdict::kWithdraw);
  const Journal journal = leader.read();
  REQUIRE(journal.runs.size() == 1);
  REQUIRE(journal.runs[0].committed.size() == 2);
  CHECK(journal.runs[0].committed[1].layer == LayerId(1));
}

TEST_CASE("a journal is locked for as long as any process of its world lives") {
  const test::Folder folder;
  const std::string path = folder / "journal";
  auto leader = std::make_unique<JournalFile>(path, JournalUse::kStart, kPatience);
  leader->start(any_header());
  auto other = std::make_unique<JournalFile>(path, JournalUse::kJoin, kPatience);
  other->start(any_header());
  other->reached(staged(1));
  CHECK_THROWS_AS(JournalFile(path, JournalUse::kResume, kPatience), DeviceError);
  leader.reset();
  CHECK_THROWS_AS(JournalFile(path, JournalUse::kResume, kPatience), DeviceError);
  other.reset();
  JournalFile next(path, JournalUse::kResume, kPatience);
  next.start(any_header());
  CHECK(next.read().runs.back().header.run == 2);
}

TEST_CASE("a line that a dying process left half written is mended by the next who writes") {
  const test::Folder folder;
  const std::string path = folder / "journal";
  JournalFile journal(path, JournalUse::kStart, kPatience);
  journal.start(any_header());
  std::ofstream(path, std::ios::app) << R"({"run":1,"plan":"aaaa)";
  journal.reached(staged(2));
  CHECK(journal.read().runs.size() == 1);
}
