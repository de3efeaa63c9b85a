// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/moves/check_schedule_report.hpp"

#include <string>
#include <variant>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/apps/in_report.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

OperationLists two_ranks() {
  OperationLists lists;
  lists.of_rank.assign(2, {});
  return lists;
}

}  // namespace

TEST_CASE("A schedule without findings is proven, and says for how many slots") {
  Proof proof;
  proof.slots_checked = 1234;
  const Report report = check_schedule_report("best", "nccl", two_ranks(), proof);
  CHECK(report.result()["proven"] == true);
  CHECK(report.result()["slots_checked"] == 1234);
  CHECK(report.result()["findings"].empty());
  CHECK(test::block_in<Conclusion>(report).tone == Tone::kGood);
  CHECK(test::block_in<Conclusion>(report).text.find("1,234 slots") != std::string::npos);
}

TEST_CASE("A finding makes it not proven, with kind, rank and layer in the conclusion") {
  Proof proof;
  Finding finding;
  finding.kind = FindingKind::kDeadlock;
  finding.rank = RankId(1);
  finding.layer = LayerId(3);
  finding.text = "rank 1 waits for rank 0";
  finding.timeline = {{RankId(1), "main", "receives what nobody sends"}};
  proof.findings = {finding};
  proof.counts.assign(static_cast<std::size_t>(FindingKind::kDeadlock) + 1, 0);
  proof.counts.back() = 2;
  const Report report = check_schedule_report("calls.json", "hccl", two_ranks(), proof);
  const auto& json = report.result();
  CHECK(json["proven"] == false);
  CHECK(json["findings"][0]["rank"] == 1);
  CHECK(json["findings"][0]["layer"] == 3);
  CHECK(json["findings"][0]["timeline"][0]["does"] == "receives what nobody sends");
  CHECK(json["kinds"][0]["count"] == 2);
  CHECK(test::block_in<Conclusion>(report).tone == Tone::kBad);
  CHECK(test::block_in<Conclusion>(report).text ==
        "not proven: " + std::string(name_of(FindingKind::kDeadlock)) + ", on rank 1, layer 3");
}
