// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/statistics.hpp"

#include <fstream>
#include <sstream>

#include "moeshift/formats/trace_format.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

TraceStatistics statistics_of(std::istream& in) {
  const auto reader = open_trace(in, "t");
  TraceObserver observer(reader->header());
  TraceStep step;
  while (reader->next(step)) observer.add(step);
  return observer.finish();
}

TraceStatistics statistics_of(const std::string& header, const std::vector<std::string>& steps) {
  std::string text = header + "\n";
  for (std::size_t t = 0; t < steps.size(); ++t) {
    text += "{\"step\":" + std::to_string(t) + ",\"load\":" + steps[t] + "}\n";
  }
  std::istringstream in(text);
  return statistics_of(in);
}

std::vector<std::string> kinds(const TraceStatistics& statistics) {
  std::vector<std::string> names;
  for (const TraceWarning& warning : statistics.warnings) names.emplace_back(warning.kind);
  return names;
}

template <class Get>
double layer_mean(const TraceStatistics& statistics, Get get) {
  double sum = 0;
  for (const LayerStatistics& layer : statistics.layers) sum += get(layer);
  return sum / static_cast<double>(statistics.layers.size());
}

const std::string kHeader = R"({"num_layers":2,"num_experts":2,"top_k":1})";
using Kinds = std::vector<std::string>;

}  // namespace

TEST_CASE("figures of a row are those computed by hand") {
  const std::vector<double> loads{1, 3, 0, 4};
  CHECK(expert_imbalance(loads) == Approx(2));
  CHECK(coefficient_of_variation(loads) == Approx(std::sqrt(2.5) / 2));
  // sum |x_i - x_j| over ordered pairs = 2 (2 + 1 + 3 + 3 + 1 + 4) = 28; / (2 n sum) = 28 / 64
  CHECK(gini(loads) == Approx(28.0 / 64));
  CHECK(total_variation(loads, std::vector<double>{1, 3, 4, 0}) == Approx(0.5));
  CHECK(total_variation(loads, std::vector<double>{2, 6, 0, 8}) == Approx(0));
  CHECK(hottest_experts(loads, 2) == std::vector<std::uint32_t>{1, 3});
  CHECK(hottest_experts(std::vector<double>{5, 5, 5}, 2) == std::vector<std::uint32_t>{0, 1});
  CHECK(hot_set_size(256) == 8);
  CHECK(hot_set_size(8) == 2);
  CHECK(hot_set_size(2) == 1);
}

TEST_CASE("rows without load have no imbalance") {
  const std::vector<double> none{0, 0};
  CHECK(expert_imbalance(none) == 0);
  CHECK(gini(none) == 0);
  CHECK(coefficient_of_variation(none) == 0);
  CHECK(total_variation(none, std::vector<double>{1, 0}) == 0);
}

TEST_CASE("a sound trace gives no warning") {
  const auto statistics = statistics_of(kHeader, {"[[1,3],[2,2]]", "[[3,1],[0,4]]"});
  CHECK(statistics.warnings.empty());
  CHECK(statistics.num_steps == 2);
  CHECK(statistics.tokens == 8.0);
  REQUIRE(statistics.drift.size() == 1);
  CHECK(statistics.drift[0].variation == Approx(0.5));
  CHECK(statistics.layers[0].imbalance == Approx(1));
  CHECK(statistics.layers[0].step_imbalance == Approx(1.5));
}

TEST_CASE("each sanity check fires alone on what it is for") {
  const std::string top2 = R"({"num_layers":2,"num_experts":4,"top_k":2})";
  CHECK(kinds(statistics_of(top2, {"[[1,1,1,0],[1,1,0,1]]"})) == Kinds{"top_k_divisibility"});
  CHECK(kinds(statistics_of(top2, {"[[3,1,0,0],[1,1,1,1]]"})) == Kinds{"top_k_ceiling"});
  CHECK(kinds(statistics_of(kHeader, {"[[1,2],[2,2]]"})) == Kinds{"unequal_totals"});
  CHECK(kinds(statistics_of(kHeader, {"[[0,0],[2,2]]"})) == Kinds{"empty_layers"});
  CHECK(kinds(statistics_of(R"({"num_layers":1,"num_experts":2})", {"[[1,2]]"})) ==
        Kinds{"top_k_unknown"});
  CHECK(kinds(statistics_of(kHeader, {"[[1,1],[1,1]]", "[[2,1],[1,2]]", "[[2,2],[2,2]]",
                                      "[[4,2],[2,4]]"})) == Kinds{"cumulative"});
  std::istringstream unordered(kHeader + R"(
{"step":5,"load":[[1,1],[1,1]]}
{"step":4,"load":[[1,1],[1,1]]}
)");
  CHECK(kinds(statistics_of(unordered)) == Kinds{"step_order"});
}

TEST_CASE("warnings name where they were seen first and what to do") {
  const auto statistics =
      statistics_of(R"({"num_layers":2,"num_experts":4,"top_k":2,"layer_ids":[3,4]})",
                    {"[[1,1,1,1],[1,1,1,1]]", "[[1,1,1,1],[3,1,0,0]]"});
  REQUIRE(statistics.warnings.size() == 1);
  CHECK(statistics.warnings[0].text.find("1.50") != std::string::npos);
  CHECK(statistics.warnings[0].text.find("step 1, layer 4") != std::string::npos);
  CHECK(statistics.warnings[0].advice.find("top_k") != std::string::npos);
}

TEST_CASE("real recordings have the figures that others measured on them") {
  struct Expected {
    std::string file;
    double imbalance, gini, cv, step_imbalance, overlap, variation;
  };
  for (const Expected& expected :
       {Expected{"deepseek_v3_sglang6017_prefill", 6.90, 0.393, 0.89, 6.84, 0.83, 0.068},
        Expected{"deepseek_v2_lite_esft_shift", 2.74, 0.273, 0.51, 4.40, 0.79, 0.111},
        Expected{"gpt_oss_20b_serving_mixed", 2.61, 0.405, 0.72, 2.68, 0.89, 0.052}}) {
    INFO(expected.file);
    std::ifstream in(test::shared_path("traces/" + expected.file + ".jsonl"));
    const auto s = statistics_of(in);
    CHECK(layer_mean(s, [](auto& l) { return l.imbalance; }) ==
          Approx(expected.imbalance).margin(0.0051));
    CHECK(layer_mean(s, [](auto& l) { return l.gini; }) == Approx(expected.gini).margin(0.00051));
    CHECK(layer_mean(s, [](auto& l) { return l.cv; }) == Approx(expected.cv).margin(0.0051));
    CHECK(layer_mean(s, [](auto& l) { return l.step_imbalance; }) ==
          Approx(expected.step_imbalance).margin(0.0051));
    CHECK(layer_mean(s, [](auto& l) { return l.step_hot_overlap; }) ==
          Approx(expected.overlap).margin(0.0055));
    CHECK(layer_mean(s, [](auto& l) { return l.step_variation; }) ==
          Approx(expected.variation).margin(0.00051));
  }
}
