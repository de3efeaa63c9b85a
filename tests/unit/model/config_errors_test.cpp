// SPDX-License-Identifier: Apache-2.0
// Every fault of a configuration file is refused with the JSON pointer of its place.
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/moe_model.hpp"

#include "tests/support/catch.hpp"

namespace {

using Json = nlohmann::ordered_json;

Json model() {
  return Json::parse(R"({"name": "m", "description": "d", "source": "s", "num_layers": 2,
    "num_experts": 8, "top_k": 2, "num_expert_groups": 4, "hidden_size": 16, "layer_ids": [1, 2],
    "expert_tensors": [{"name": "w", "shape": [4, 16], "dtype": "fp8_e4m3", "bytes": 64}]})");
}

Json cluster() {
  const Json link = {{"latency_seconds", 1e-5},         {"per_message_seconds", 1e-6},
                     {"pair_bytes_per_second", 1e9},    {"egress_bytes_per_second", 1e9},
                     {"ingress_bytes_per_second", 1e9}, {"source", "s"}};
  return {{"name", "c"},
          {"description", "d"},
          {"source", "s"},
          {"ranks_per_node", 8},
          {"rank_memory_bytes", 1000},
          {"local_copy_bytes_per_second", 1e9},
          {"local_copy_latency_seconds", 0},
          {"intra_node", link},
          {"inter_node", link},
          {"fixed",
           {{"launch_seconds", 0},
            {"connection_seconds", 0},
            {"vote_seconds", 0},
            {"commit_seconds", 0}}}};
}

std::string error_of(const std::function<void()>& read) {
  try {
    read();
  } catch (const moeshift::InputError& error) {
    return error.what();
  }
  return "no error";
}
std::string model_error(const Json& json) {
  return error_of([&] { (void)moeshift::read_moe_model({json, "f"}); });
}
std::string cluster_error(const Json& json) {
  return error_of([&] { (void)moeshift::read_cluster({json, "f"}); });
}
/// `json` with the value at `pointer` replaced.
Json with(Json json, const std::string& pointer, const Json& value) {
  json[Json::json_pointer(pointer)] = value;
  return json;
}
Json without(Json json, const std::string& key) {
  json.erase(key);
  return json;
}

}  // namespace

TEST_CASE("The sound configurations of these tests are accepted") {
  CHECK(model_error(model()) == "no error");
  CHECK(cluster_error(cluster()) == "no error");
}

TEST_CASE("A missing key of a model is named") {
  const Json whole = model();
  for (const auto& [key, unused] : whole.items()) {
    CAPTURE(key);
    CHECK(model_error(without(whole, key)) == "f#: expected the key \"" + key + "\"");
  }
}

TEST_CASE("A missing key of a cluster is named") {
  const Json whole = cluster();
  for (const auto& [key, unused] : whole.items()) {
    CAPTURE(key);
    CHECK(cluster_error(without(whole, key)) == "f#: expected the key \"" + key + "\"");
  }
}

TEST_CASE("An unknown key is refused with the nearest known one") {
  CHECK(model_error(with(model(), "/num_expert", 1)) ==
        "f#/num_expert: unknown key; did you mean 'num_experts'?");
  CHECK(cluster_error(with(cluster(), "/intra_node/egres_bytes_per_second", 1)) ==
        "f#/intra_node/egres_bytes_per_second: unknown key; did you mean "
        "'egress_bytes_per_second'?");
  CHECK(model_error(with(model(), "/expert_tensors/0/size", 1))
            .rfind("f#/expert_tensors/0/size: unknown key", 0) == 0);
}

TEST_CASE("All keys that are missing or unknown are told in one message") {
  Json several = without(without(with(model(), "/num_expert", 1), "top_k"), "name");
  several["expert_tensors"][0].erase("dtype");
  CHECK(model_error(several) ==
        "f#/num_expert: unknown key; did you mean 'num_experts'?; #: expected the keys \"name\", "
        "\"top_k\"; #/expert_tensors/0: expected the key \"dtype\"");
  Json machine = without(cluster(), "source");
  machine["inter_node"].erase("source");
  machine["fixed"].erase("vote_seconds");
  CHECK(cluster_error(machine) ==
        "f#: expected the key \"source\"; #/inter_node: expected the key \"source\"; #/fixed: "
        "expected the key \"vote_seconds\"");
}

TEST_CASE("Negative and fractional and huge numbers are refused where they stand") {
  CHECK(model_error(with(model(), "/num_layers", -2)).rfind("f#/num_layers: ", 0) == 0);
  CHECK(model_error(with(model(), "/num_experts", 8.5)).rfind("f#/num_experts: ", 0) == 0);
  CHECK(model_error(with(model(), "/hidden_size", 1e30)).rfind("f#/hidden_size: ", 0) == 0);
  CHECK(model_error(with(model(), "/expert_tensors/0/bytes", -64))
            .rfind("f#/expert_tensors/0/bytes: ", 0) == 0);
  CHECK(cluster_error(with(cluster(), "/intra_node/latency_seconds", -1))
            .rfind("f#/intra_node/latency_seconds: ", 0) == 0);
  CHECK(cluster_error(with(cluster(), "/inter_node/pair_bytes_per_second", 0))
            .rfind("f#/inter_node/pair_bytes_per_second: ", 0) == 0);
  CHECK(cluster_error(with(cluster(), "/ranks_per_node", 0)).rfind("f#/ranks_per_node: ", 0) == 0);
}

TEST_CASE("A shape too large to count is refused and never overflows") {
  const Json shape = {1LL << 31, 1LL << 31, 1LL << 31};
  CHECK(model_error(with(model(), "/expert_tensors/0/shape", shape))
            .rfind("f#/expert_tensors/0/shape", 0) == 0);
}

TEST_CASE("Bytes that disagree with shape and dtype are refused with the right number") {
  CHECK(model_error(with(model(), "/expert_tensors/0/bytes", 65)) ==
        "f#/expert_tensors/0/bytes: shape and dtype make 64 bytes");
  CHECK(model_error(with(model(), "/expert_tensors/0/dtype", "fp7")) ==
        "f#/expert_tensors/0/dtype: unknown dtype 'fp7'");
}

TEST_CASE("Bytes per expert are read per layer or per expert, and refused where they do not fit") {
  using namespace moeshift;
  const auto read = [](const char* sizes) {
    const Json json = with(model(), "/bytes_per_expert", Json::parse(sizes));
    return read_moe_model({json, "f"}).expert_sizes();
  };
  CHECK(read_moe_model({model(), "f"}).expert_sizes() == ExpertSizes(Bytes(64)));
  CHECK(read("[64, 64]") == ExpertSizes(Bytes(64)));
  const ExpertSizes sizes = read("[64, [32, 32, 32, 32, 32, 32, 32, 48]]");
  CHECK(sizes(LayerId(0), ExpertId(7)) == Bytes(64));
  CHECK(sizes(LayerId(1), ExpertId(7)) == Bytes(48));
  CHECK(sizes.largest(LayerId(1)) == Bytes(48));
  CHECK(sizes.uniform(LayerId(0)));
  CHECK_FALSE(sizes.uniform(LayerId(1)));
  CHECK(sizes.layers(0, 1) == ExpertSizes(Bytes(64)));
  CHECK(sizes.mean() == Bytes((8 * 64 + 7 * 32 + 48) / 16));
  const auto error = [](const char* text) {
    return model_error(with(model(), "/bytes_per_expert", Json::parse(text)));
  };
  CHECK(error("[64]").find("f#/bytes_per_expert: expected 2 layers") != std::string::npos);
  CHECK(error("[64, 0]").find("f#/bytes_per_expert/1") != std::string::npos);
  CHECK(error("[64, [1, 2]]").find("/1: expected 8 experts") != std::string::npos);
  CHECK(error("5").find("f#/bytes_per_expert") != std::string::npos);
}

TEST_CASE("Model figures that contradict each other are refused") {
  CHECK(model_error(with(model(), "/top_k", 9)).rfind("f#/top_k: ", 0) == 0);
  CHECK(model_error(with(model(), "/num_expert_groups", 3)).rfind("f#/num_expert_groups: ", 0) ==
        0);
  CHECK(model_error(with(model(), "/layer_ids", Json::array({1}))).rfind("f#/layer_ids: ", 0) == 0);
  CHECK(
      model_error(with(model(), "/layer_ids", Json::array({2, 1}))).rfind("f#/layer_ids/1: ", 0) ==
      0);
  CHECK(model_error(with(model(), "/expert_tensors", Json::array()))
            .rfind("f#/expert_tensors: ", 0) == 0);
}

TEST_CASE("Layers that contradict the number of hidden layers or the draft layers are refused") {
  const auto error = [](const Json& changes) {
    Json json = model();
    json.update(changes);
    return model_error(json);
  };
  CHECK(error({{"num_hidden_layers", 3}}) == "no error");
  CHECK(error({{"num_hidden_layers", 3}, {"mtp_layer_ids", {3}}}) == "no error");
  CHECK(error({{"num_hidden_layers", 3}, {"mtp_layer_ids", {4}}}) == "no error");
  CHECK(error({{"num_hidden_layers", 2}, {"mtp_layer_ids", {2}}}) == "no error");  // counted
  CHECK(error({{"mtp_layer_ids", {3}}}) == "no error");
  CHECK(error({{"num_hidden_layers", 2}}).rfind("f#/layer_ids: layer 2 is none of the 2", 0) == 0);
  for (const Json& changes :
       {Json{{"num_hidden_layers", 3}, {"mtp_layer_ids", {2}}},
        Json{{"num_hidden_layers", 3}, {"mtp_layer_ids", {0}}},
        Json{{"num_hidden_layers", 3}, {"mtp_layer_ids", {20}}},
        Json{{"num_hidden_layers", 3}, {"mtp_layer_ids", {3, 20}}}, Json{{"mtp_layer_ids", {2}}}}) {
    CAPTURE(changes.dump());
    CHECK(error(changes).rfind("f#/mtp_layer_ids: ", 0) == 0);
  }
}
