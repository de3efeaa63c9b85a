// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/plan_report.hpp"

#include <nlohmann/json.hpp>

#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/apps/small_rearrangement.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

/// Four experts of load 4, 3, 2, 1 on two ranks: {0, 3} and {1, 2} have 5 each.
class Answered {
 public:
  explicit Answered(const std::string& policy) {
    problem_.load = LoadMatrix(1, 4);
    for (std::size_t e = 0; e < 4; ++e) {
      problem_.load(LayerId(0), ExpertId(e)) = static_cast<double>(4 - e);
    }
    problem_.old = &test::before();
    NoProgress progress;
    plan_.emplace(make_planner(policy)->plan(problem_, Threads{1}, progress));
    answer_.emplace(PlanAnswer{.policy = policy,
                               .steps = 1,
                               .trace = header_,
                               .world = {},
                               .problem = problem_,
                               .plan = *plan_,
                               .times = {},
                               .objective = "tokens",
                               .goal = {},
                               .dispatch = "even",
                               .rule = {},
                               .expert_sizes = {},
                               .slots_budget = {},
                               .uniform = {}});
  }
  [[nodiscard]] const PlanAnswer& answer() const { return *answer_; }

 private:
  TraceHeader header_;
  PlanProblem problem_{.load = {}, .topology = Topology(2, 1), .slots = 4};
  std::optional<PlanResult> plan_;
  std::optional<PlanAnswer> answer_;
};

}  // namespace

TEST_CASE("A plan's figures are those of its placement under the planned load") {
  const Answered balanced("balanced");
  const nlohmann::ordered_json result = report_plan(balanced.answer()).result();
  CHECK(result["metrics"]["balancedness"].get<double>() == Approx(1.0));
  CHECK(result["metrics"]["peak_load"].get<double>() == Approx(5.0));
  CHECK(result["layers"][0]["gap"].get<double>() == Approx(0.0).margin(1e-6));
  const Answered contiguous("contiguous");
  const nlohmann::ordered_json other = report_plan(contiguous.answer()).result();
  CHECK(other["placement"]["physical_to_logical"] == nlohmann::ordered_json::array({{0, 1, 2, 3}}));
  CHECK(other["metrics"]["balancedness"].get<double>() == Approx(5.0 / 7.0));
  CHECK(other["metrics"]["imbalance"].get<double>() == Approx(7.0 / 5.0));
}

TEST_CASE("A plan file says its policy, its steps and what every slot holds") {
  const nlohmann::ordered_json result = report_plan(Answered("balanced").answer()).result();
  CHECK(result["policy"] == "balanced");
  CHECK(result["steps"] == 1);
  CHECK(result["placement"]["num_ranks"] == 2);
  CHECK(result["placement"]["num_experts"] == 4);
  CHECK(result["placement"]["physical_to_logical"][0].size() == 4);
}
