// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/progress_bar.hpp"

#include "moeshift/core/part_progress.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

TEST_CASE("Phases add up to one bar, which never goes back and is never whole") {
  CommandProgress command({{"reading", 1}, {"plan layers", 3}});
  CHECK(command.tell("reading a.jsonl (MB)", 5, 10));
  CHECK(command.share() == Approx(0.125));
  CHECK(command.tell("plan layers", 2, 4));
  CHECK(command.share() == Approx(0.25 + 0.75 / 2));
  CHECK_FALSE(command.tell("reading a.jsonl (MB)", 10, 10));
  CHECK(command.tell("plan layers", 1, 4));
  CHECK(command.share() == Approx(0.25 + 0.75 / 2));
  CHECK(command.tell("plan layers", 4, 4));
  CHECK(command.share() == Approx(0.99));
}

TEST_CASE("What a command did not announce is not shown") {
  CommandProgress command({{"steps", 1}});
  CHECK_FALSE(command.tell("plan layers", 58, 58));
  CHECK(command.share() == 0);
}

TEST_CASE("Without phases the first to tell is followed, whatever file it reads") {
  CommandProgress command({});
  CHECK(command.tell("reading a (MB)", 1, 4));
  CHECK_FALSE(command.tell("steps", 9, 10));
  CHECK(command.tell("reading b (MB)", 2, 4));
  CHECK(command.share() == Approx(0.5));
}

TEST_CASE("An unknown total shows no share") {
  CommandProgress command({});
  CHECK(command.tell("steps", 284, 0));
  CHECK(command.share() == 0);
}

namespace {

class Heard final : public Progress {
 public:
  void update(std::string_view what, std::uint64_t done, std::uint64_t total) override {
    CHECK(what == "policies");
    CHECK(done >= last);
    last = done;
    share = static_cast<double>(done) / static_cast<double>(total);
  }
  std::uint64_t last = 0;
  double share = 0;
};

}  // namespace

TEST_CASE("Parts that are told apart and in parts of their own add up to one work") {
  Heard heard;
  PartProgress policies(heard, "policies", 2);
  PartProgress windows(policies.part(0), "windows", 4);
  windows.part(0).update("plan layers", 29, 58);
  CHECK(heard.share == Approx(0.0625));
  windows.finish(0);
  CHECK(heard.share == Approx(0.125));
  policies.part(1).update("plan layers", 1, 1);
  CHECK(heard.share == Approx(0.625));
  for (std::size_t i = 1; i < 4; ++i) windows.finish(i);
  CHECK(heard.share == Approx(1));
}
