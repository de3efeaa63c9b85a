// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/subject.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using moeshift::differences_in_subject;
using Json = nlohmann::ordered_json;

namespace {

Json plan(const std::string& trace = "aa") {
  return {{"schema", "moeshift.plan/2"},
          {"meta",
           {{"argv",
             {"moeshift", "plan", "t.jsonl", "--model", "configs/m.json", "--cluster=hgx", "--from",
              "old.json"}},
            {"inputs",
             {{{"path", "configs/m.json"}, {"sha256", "mm"}},
              {{"path", "old.json"}, {"sha256", trace + "!"}},
              {{"path", "t.jsonl"}, {"sha256", trace}}}}}},
          {"result",
           {{"policy", "balanced"},
            {"placement",
             {{"num_experts", 8},
              {"num_ranks", 4},
              {"physical_to_logical", {{0, 1, 2}, {3, 4, 5}}}}}}}};
}

std::string said(const Json& result, const Json& baseline) {
  std::string text;
  for (const auto& one : differences_in_subject(result, baseline)) {
    text += one.what + ":" + one.baseline + ">" + one.value + " ";
  }
  return text;
}

}  // namespace

TEST_CASE("Equal subjects differ in nothing, and earlier placements are no part of the subject") {
  CHECK(said(plan(), plan()).empty());
  Json other = plan();
  other["meta"]["inputs"][1]["sha256"] = "made later";
  CHECK(said(plan(), other).empty());
}

TEST_CASE("Another trace, model, machine, policy and shape are each said") {
  CHECK(said(plan("bb"), plan("aa")) == "trace:aa>bb ");
  Json other = plan();
  other["meta"]["argv"][4] = "n.json";
  other["meta"]["argv"][5] = "--cluster=dgx";
  other["result"]["policy"] = "deepseek";
  CHECK(said(other, plan()) == "model:m>n machine:hgx>dgx policy:balanced>deepseek ");
  Json shape = plan();
  shape["result"]["placement"] = {
      {"num_experts", 16}, {"num_ranks", 2}, {"physical_to_logical", {{0, 1, 2, 3}}}};
  CHECK(said(shape, plan()) == "experts:8>16 ranks:4>2 layers:2>1 slots:3>4 ");
}

TEST_CASE("A renamed trace is the same; one given as an option's value is none") {
  Json renamed = plan();
  renamed["meta"]["argv"][2] = "r.jsonl";
  renamed["meta"]["inputs"][2]["path"] = "r.jsonl";
  CHECK(said(renamed, plan()).empty());
  Json piped = plan("bb");
  piped["meta"]["argv"][2] = "-";
  piped["meta"]["inputs"][2]["path"] = "<stdin>";
  CHECK(said(piped, plan()) == "trace:aa>bb ");
}

TEST_CASE(
    "What a file does not say is taken for equal; so are the inputs of commands that take "
    "results") {
  Json bare = plan();
  bare.erase("meta");
  CHECK(said(plan(), bare).empty());
  CHECK(said(Json::array(), plan()).empty());
  Json moves = plan("aa");
  Json later = plan("bb");
  moves["schema"] = later["schema"] = "moeshift.moves/2";
  CHECK(said(later, moves).empty());
}
