// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/before_after.hpp"

#include <algorithm>
#include <string>
#include <variant>

#include <nlohmann/json.hpp>

#include "apps/moeshift/inputs/by_link.hpp"
#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

/// A step falls from 10 ms to `after`; 3 experts of 50 bytes move in 7 ms.
BeforeAfter change_to(double after_ms) {
  BeforeAfter change{.name = "before", .before = {}, .moves = {}, .moving = {}, .step = {}};
  change.moves.transfers = 3;
  change.moves.bytes_by_link = {Bytes(1000), Bytes(100), Bytes(50), Bytes(0)};
  change.moving = Seconds(7e-3);
  change.step = {.tokens = 512, .before = Seconds(10e-3), .after = Seconds(after_ms * 1e-3)};
  return change;
}

Report report_of(const BeforeAfter& change) {
  Report report("plan", "A plan");
  add_before_after(change, Balance{}, 4, true, report);
  return report;
}

std::string verdict_in(const Report& report) {
  for (const Block& block : report.view().blocks) {
    if (const auto* conclusion = std::get_if<Conclusion>(&block)) return conclusion->text;
  }
  return "";
}

}  // namespace

TEST_CASE("A move has paid after the first whole step in which it has saved what it took") {
  CHECK(change_to(8).worth_after() == 4.0);  // 7 ms by 2 ms a step
  CHECK(change_to(3).worth_after() == 1.0);
  CHECK_FALSE(change_to(10).worth_after().has_value());
  CHECK_FALSE(change_to(12).worth_after().has_value());
  BeforeAfter unknown = change_to(8);
  unknown.moving.reset();
  CHECK_FALSE(unknown.worth_after().has_value());
}

TEST_CASE(
    "A plan says after how many steps it is worth it, what each saves, and what moving takes") {
  CHECK(verdict_in(report_of(change_to(8))) ==
        "worth it after 4 steps: each saves 2.00 ms (20.0 %), moving takes 7.00 ms");
  CHECK(verdict_in(report_of(change_to(3))) ==
        "worth it after 1 step: each saves 7.00 ms (70.0 %), moving takes 7.00 ms");
  CHECK(verdict_in(report_of(change_to(12))) ==
        "not worth it: moving takes 7.00 ms, and a step gets no faster");
  BeforeAfter still = change_to(8);
  still.moves.transfers = 0;
  CHECK(verdict_in(report_of(still)) == "nothing has to move");
}

TEST_CASE("The result of a plan has what moves, on which links, and when that has paid") {
  const Report report = report_of(change_to(8));
  const auto& move = report.result()["move"];
  CHECK(move["transfers"] == 3);
  CHECK(move["bytes_by_link"] ==
        nlohmann::ordered_json({{"intra_node", 100}, {"inter_node", 50}, {"inter_rack", 0}}));
  CHECK(move["saving_seconds"].get<double>() == Approx(2e-3));
  CHECK(move["break_even_steps"] == 4.0);
  CHECK(report_of(change_to(12)).result()["move"]["break_even_steps"].is_null());
}

TEST_CASE("Bytes by link leave out what stays on a rank, unless it is asked for") {
  const std::array<Bytes, kLinkClasses> bytes = {Bytes(4), Bytes(3), Bytes(2), Bytes(1)};
  CHECK(bytes_by_link_json(bytes).dump() == R"({"intra_node":3,"inter_node":2,"inter_rack":1})");
  CHECK(bytes_by_link_json(bytes, LinkClass::kLocal).size() == kLinkClasses);
  CHECK(bytes_by_link_json(bytes, LinkClass::kLocal).front() == 4);
}
