// SPDX-License-Identifier: Apache-2.0
// Which layers of a config.json have experts, draft layers among them; keys that contradict each
// other.
#include <numeric>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/model/hf_import.hpp"

namespace {

using moeshift::HfImport;
using moeshift::test::fault_of;
using moeshift::test::import;
using Json = nlohmann::ordered_json;
using Ids = std::vector<std::int64_t>;

/// Eight layers of four experts, and what is said of them beside that.
Json model(const Json& more = Json::object()) {
  Json config = Json::parse(R"({"model_type": "deepseek_v3", "num_hidden_layers": 8,
    "n_routed_experts": 4, "num_experts_per_tok": 2, "hidden_size": 64,
    "moe_intermediate_size": 32, "torch_dtype": "bfloat16"})");
  config.update(more);
  return config;
}

Ids layers_of(const Json& more) {
  return import(model(more)).model.layer_ids;
}

std::string joined(const HfImport& imported) {
  std::string all;
  for (const std::string& line : imported.assumed) all += line + "\n";
  return all;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const Json kOnesFrom3 = {0, 0, 0, 1, 1, 1, 1, 1};

}  // namespace

TEST_CASE("Layers are found by every rule, list and pattern") {
  CHECK(layers_of({{"moe_layer_frequency", 2}}) == Ids{1, 3, 5, 7});  // Arctic
  CHECK(layers_of({{"moe_layer_freq", 2}}) == Ids{0, 2, 4, 6});
  CHECK(layers_of({{"moe_layers_enum", "3, 4 ,5"}}) == Ids{3, 4, 5});
  CHECK(layers_of({{"moe_layers_enum", "3,4,5,"}}) == Ids{3, 4, 5});
  CHECK(layers_of({{"moe_layers_enum", "5,4"}}) == Ids{4, 5});
  CHECK(layers_of({{"moe_layers", {5, 3, 1}}}) == Ids{1, 3, 5});
  CHECK(layers_of({{"hybrid_override_pattern", "MEM*-EME"}}) == Ids{1, 5, 7});
  CHECK(layers_of({{"mlp_layer_types",
                    {"dense", "sparse", "moe", "dense", "dense", "dense", "dense", "sparse"}}}) ==
        Ids{1, 2, 7});
}

TEST_CASE("Keys that say the same of the layers may stand together") {
  CHECK(layers_of({{"moe_layer_freq", kOnesFrom3}, {"first_k_dense_replace", 3}}) ==
        Ids{3, 4, 5, 6, 7});
  CHECK(layers_of({{"interleave_moe_layer_step", 2}, {"moe_layers", {1, 3, 5, 7}}}) ==
        Ids{1, 3, 5, 7});
  CHECK(layers_of({{"mlp_only_layers", Json::array()},
                   {"decoder_sparse_step", 1},
                   {"first_k_dense_replace", 6}}) == Ids{6, 7});
  CHECK(layers_of({{"num_layers", 8}}).size() == 8);
  CHECK(layers_of({{"model_type", "longcat_flash"}, {"num_layers", 4}}) == Ids{0, 1, 2, 3});
}

TEST_CASE("Keys that contradict each other or the number of layers are refused") {
  const auto refused = [](const Json& more, const std::string& says) {
    CAPTURE(more.dump());
    CHECK(contains(fault_of(model(more)), says));
  };
  refused({{"num_layers", 7}}, "#/num_layers: expected 8");
  refused({{"expert_ffn_hidden_size", 64}}, "#/expert_ffn_hidden_size: expected 32");
  refused({{"n_group", 2}, {"num_expert_group", 4}}, "#/num_expert_group: expected 2");
  refused({{"n_group", 2}, {"topk_group", 3}}, "#/topk_group: expected at most the 2 groups");
  refused({{"dtype", "float32"}}, "#/dtype: expected bf16");
  refused({{"moe_layer_freq", {0, 0, 0, 1, 1, 1, 1}}}, "expected 8 items");
  refused({{"moe_layer_freq", {0, 0, 0, 1, 1, 1, 1, 1, 1}}}, "expected 8 items");
  refused({{"moe_layer_freq", Json::array({1, 1, 1, 1, 1, 1, 1, 1})}, {"first_k_dense_replace", 3}},
          "layer 0");
  refused({{"moe_layer_freq", kOnesFrom3}, {"mlp_only_layers", {0}}}, "layer 1");
  refused({{"mlp_layer_types",
            {"dense", "sparse", "sparse", "sparse", "sparse", "sparse", "sparse", "sparse"}},
           {"first_k_dense_replace", 3}},
          "layer 1");
  refused({{"first_k_dense_replace", 3}, {"num_dense_layers", 5}}, "expected 3");
  refused({{"moe_layer_freq", 0}}, "#/moe_layer_freq");
  refused({{"decoder_sparse_step", 0}}, "#/decoder_sparse_step");
  refused({{"mlp_only_layers", {8}}}, "#/mlp_only_layers/0");
  refused({{"moe_layers_enum", "4,5,6,7,8"}}, "layer 8 of 8");
  refused({{"moe_layers_enum", "4,4,5"}}, "layer 4 is named twice");
  refused({{"moe_layers_enum", "4 5"}}, "expected layer numbers");
  refused({{"moe_layers", {1, 1, 3}}}, "layer 1 is named twice");
  refused({{"moe_layers", {1, 3}}, {"interleave_moe_layer_step", 2}}, "layer 5");
  refused({{"hybrid_override_pattern", "MEMEM*E"}}, "expected 8 letters");
  refused({{"hybrid_override_pattern", "MEMEM*EMEE"}}, "expected 8 letters");
  refused({{"hybrid_override_pattern", "MEMEM*EX"}}, "letter 'X' of layer 7");
  refused({{"mlp_layer_types",
            {"dense", "sparse", "sparse", "sparse", "sparse", "sparse", "sparse", "tea"}}},
          "type 'tea'");
}

TEST_CASE("Counts of the text part and the whole that differ are refused") {
  Json config = {{"model_type", "kimi_k25"}, {"num_hidden_layers", 7}, {"text_config", model()}};
  CHECK(contains(fault_of(config), "#/num_hidden_layers: expected 8"));
  config.erase("num_hidden_layers");
  config["n_routed_experts"] = 8;
  CHECK(contains(fault_of(config), "#/n_routed_experts: expected 4"));
  config["n_routed_experts"] = 4;
  CHECK(fault_of(config) == "no error");
  config["text_config"]["first_k_dense_replace"] = 3;
  config["first_k_dense_replace"] = 2;
  CHECK(contains(fault_of(config), "#/first_k_dense_replace: expected 3"));
}

TEST_CASE("A key that may choose layers and is not read is named") {
  CHECK(contains(joined(import(model({{"moe_every_n_layers", 2}}))), "moe_every_n_layers"));
  CHECK(contains(joined(import(model({{"dense_layer_indices", {0, 1}}}))), "dense_layer_indices"));
  CHECK(joined(import(model({{"moe_every_n_layers", 1}, {"moe_layer_freq", 1}}))).empty());
}

TEST_CASE("Draft layers without experts are not counted, with a line that says so") {
  const auto dense = [](const Json& more) {
    CAPTURE(more.dump());
    CHECK(import(model(more)).model.mtp_layer_ids.empty());
    const HfImport with = import(model(more), true);
    CHECK(with.model.layer_ids.back() < 8);
    CHECK(contains(joined(with), "draft (MTP) layers 8"));
    CHECK(contains(joined(with), "dense"));
  };
  for (const char* family : {"ernie4_5_moe", "mimo_v2_flash", "longcat_flash", "exaone_moe"}) {
    dense({{"model_type", family}, {"num_nextn_predict_layers", 2}});
  }
  dense({{"model_type", "step3p5"}, {"num_nextn_predict_layers", 2}, {"moe_layers_enum", "3,4"}});
  const Json longer = {{"moe_layer_freq", {1, 1, 1, 1, 1, 1, 1, 1, 0}},
                       {"num_nextn_predict_layers", 1}};
  dense(longer);
  CHECK(contains(joined(import(model(longer))), "moe_layer_freq has 9 items"));
}

TEST_CASE("Draft layers with experts follow the others, as the family numbers them") {
  const auto drafts = [](const Json& more) {
    const HfImport with = import(model(more), true);
    CHECK(import(model(more)).model.mtp_layer_ids == with.model.mtp_layer_ids);
    return with.model.mtp_layer_ids;
  };
  CHECK(drafts({{"num_nextn_predict_layers", 1}}) == Ids{8});
  CHECK(drafts({{"model_type", "qwen3_5_moe"}, {"mtp_num_hidden_layers", 1}}) == Ids{8});
  CHECK(drafts({{"model_type", "step3p5"},
                {"num_nextn_predict_layers", 2},
                {"moe_layers_enum", "3,4,9"}}) == Ids{9});
  CHECK(drafts({{"model_type", "nemotron_h"},
                {"hybrid_override_pattern", "MEMEM*EM"},
                {"mtp_hybrid_override_pattern", "*E"},
                {"mlp_hidden_act", "relu2"},
                {"num_nextn_predict_layers", 1}}) == Ids{9});
  const Json unheard = {{"model_type", "unheard_of"}, {"num_nextn_predict_layers", 1}};
  CHECK(drafts(unheard) == Ids{8});
  CHECK(contains(joined(import(model(unheard), true)), "taken to have"));
}

TEST_CASE("Where config.json names no draft layers that is what is said, not that there are none") {
  const HfImport none = import(model(), true);
  CHECK(contains(joined(none), "config.json names no draft (MTP) layers"));
  const HfImport unread = import(model({{"num_mtp_modules", 3}, {"use_mtp", true}}), true);
  CHECK(contains(joined(unread), "num_mtp_modules, use_mtp may name draft (MTP) layers"));
  CHECK(unread.model.num_layers == 8);
  CHECK(joined(import(model({{"num_mtp_modules", 3}}))).empty());
}

TEST_CASE("Experts that compute nothing are told and go into the file") {
  const HfImport zero = import(model({{"zero_expert_num", 2}, {"zero_expert_type", "identity"}}));
  CHECK(zero.model.num_zero_experts == 2);
  CHECK(contains(joined(zero), "2 experts that compute nothing"));
  const Json json = moeshift::parse_json(moeshift::moe_model_text(zero.model), "m.json");
  CHECK(moeshift::read_moe_model({json, "m.json"}).num_zero_experts == 2);
}
