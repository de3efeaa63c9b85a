// SPDX-License-Identifier: Apache-2.0
// Rows that never carry load are dense layers: taken out, their neighbours keep their numbers.
#include "moeshift/trace/dense_layers.hpp"

#include <sstream>

#include "moeshift/core/error.hpp"
#include "moeshift/trace/window.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

using Steps = std::vector<std::vector<std::vector<int>>>;

std::string neutral(const Steps& steps, const std::string& more = "") {
  std::ostringstream out;
  out << R"({"num_layers":)" << steps[0].size() << R"(,"num_experts":)" << steps[0][0].size()
      << more << "}\n";
  for (std::size_t t = 0; t < steps.size(); ++t) {
    out << R"({"step":)" << t << R"(,"load":[)";
    for (std::size_t l = 0; l < steps[t].size(); ++l) {
      out << (l > 0 ? ",[" : "[");
      for (std::size_t e = 0; e < steps[t][l].size(); ++e)
        out << (e > 0 ? "," : "") << steps[t][l][e];
      out << ']';
    }
    out << "]}\n";
  }
  return out.str();
}

/// A recording, read without its dense rows.
struct Read {
  explicit Read(const std::string& text, const MoeModel* model = nullptr) : in(text) {
    reader = without_dense_layers(open_trace(in, "t"), "t", model, &dense);
    TraceStep step;
    while (reader->next(step)) loads.push_back(step.load);
  }
  std::istringstream in;
  DenseLayers dense;
  std::unique_ptr<TraceReader> reader;
  std::vector<LoadMatrix> loads;
};

MoeModel model_of(std::vector<std::int64_t> ids, std::size_t experts) {
  MoeModel model;
  model.num_layers = ids.size();
  model.num_experts = experts;
  model.layer_ids = std::move(ids);
  return model;
}

}  // namespace

TEST_CASE("Rows that never carry load are taken out and the others keep their numbers") {
  const Read read(neutral({{{0, 0}, {1, 2}, {0, 0}, {3, 4}}, {{0, 0}, {5, 6}, {0, 0}, {7, 8}}}));
  CHECK(read.dense.ids == std::vector<std::int64_t>{0, 2});
  CHECK(read.reader->header().num_layers == 2);
  CHECK(read.reader->header().layer_ids == std::vector<std::int64_t>{1, 3});
  CHECK(read.reader->header().num_hidden_layers == 4U);
  REQUIRE(read.loads.size() == 2);
  CHECK(read.loads[1](LayerId(1), ExpertId(0)) == 7);
  CHECK(to_string(read.dense) == "layers 0, 2 of 4 never carry load: taken out as dense");
}

TEST_CASE("A layer that carries load in some step stays, whichever window is read") {
  const std::string text = neutral({{{0, 0}, {1, 2}}, {{0, 0}, {3, 4}}, {{1, 0}, {5, 6}}});
  const Read read(text);
  CHECK(read.dense.ids.empty());
  CHECK(read.reader->header().layer_ids.empty());
  REQUIRE(read.loads.size() == 3);
  CHECK(layer_total(read.loads[0], LayerId(0)) == 0);
  CHECK(read.loads[2](LayerId(0), ExpertId(0)) == 1);
}

TEST_CASE("Numbers that the recording states are kept beside what was taken out") {
  const Read read(
      neutral({{{1, 1}, {0, 0}, {2, 2}}}, R"(,"layer_ids":[3,5,61],"num_hidden_layers":61)"));
  CHECK(read.reader->header().layer_ids == std::vector<std::int64_t>{3, 61});
  CHECK(read.reader->header().num_hidden_layers == 61U);
}

TEST_CASE("Layers of the model stay even where nothing was recorded") {
  const MoeModel model = model_of({1, 2}, 2);
  const Read absolute(neutral({{{0, 0}, {1, 2}, {0, 0}}}), &model);
  CHECK(absolute.dense.ids == std::vector<std::int64_t>{0});
  CHECK(absolute.reader->header().layer_ids == std::vector<std::int64_t>{1, 2});
  const Read in_order(neutral({{{0, 0}, {1, 2}}}), &model);
  CHECK(in_order.dense.ids.empty());
  CHECK(in_order.reader->header().num_layers == 2);
}

TEST_CASE("A recording without any load is no question of balance") {
  CHECK_THROWS_AS(Read(neutral({{{0, 0}, {0, 0}}})), InfeasibleError);
  const MoeModel model = model_of({0, 1}, 2);
  CHECK_THROWS_AS(Read(neutral({{{0, 0}, {0, 0}}}), &model), InfeasibleError);
}

TEST_CASE("Labels and other keys of steps read ahead are kept") {
  std::istringstream in(R"({"num_layers":2,"num_experts":1})"
                        "\n"
                        R"({"step":4,"load":[[0],[1]],"label":"a","k":2})"
                        "\n");
  DenseLayers dense;
  const auto reader = without_dense_layers(open_trace(in, "t"), "t", nullptr, &dense);
  TraceStep step;
  REQUIRE(reader->next(step));
  CHECK(step.step == 4);
  CHECK(step.label == "a");
  CHECK(step.other_json == R"({"k":2})");
  CHECK_FALSE(reader->next(step));
}

TEST_CASE("SGLang's form has a row for every layer again") {
  const Read read(neutral({{{0, 0}, {1, 2}, {0, 0}}}));
  std::ostringstream out;
  const auto writer = trace_format("sglang").create(out, read.reader->header());
  TraceStep step;
  step.load = read.loads[0];
  writer->write(step);
  writer->finish();
  CHECK(out.str() == "{\"logical_count\":[[[0,0],[1,2],[0,0]]]}\n");
}
