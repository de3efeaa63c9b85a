// SPDX-License-Identifier: Apache-2.0
// config.json of published models, cut down to the keys that are read (hf_configs.json), beside
// what their papers and checkpoints say.
#include "moeshift/model/checkpoint/hf_config.hpp"

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/python_json.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/model/hf_import.hpp"

namespace {

using moeshift::HfImport;
using moeshift::MoeModel;
using moeshift::test::fault_of;
using moeshift::test::import;
using Json = nlohmann::ordered_json;

Json published() {
  std::ifstream in(moeshift::test::source_path("tests/unit/model/hf_configs.json"));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return moeshift::parse_python_json(text, "hf_configs.json");
}

Json config_of(const std::string& name) {
  for (const Json& row : published()) {
    if (row.at("name") == name) return row.at("config");
  }
  FAIL("no such model");
  return {};
}

}  // namespace

TEST_CASE("Published models import to their layers, experts and bytes per expert") {
  const Json models = published();
  REQUIRE(models.size() >= 40);
  for (const Json& row : models) {
    CAPTURE(row.at("name"));
    const HfImport imported = import(row.at("config"));
    const MoeModel& model = imported.model;
    CHECK(model.num_layers == row.at("layers"));
    CHECK(model.layer_ids.size() == model.num_layers);
    CHECK(model.layer_ids.front() == row.at("first"));
    CHECK(model.layer_ids.back() == row.at("last"));
    CHECK(model.num_hidden_layers == row.at("hidden_layers").get<std::size_t>());
    CHECK(model.num_experts == row.at("experts"));
    CHECK(model.top_k == row.at("top_k"));
    CHECK(model.num_expert_groups == row.at("groups"));
    CHECK(model.expert_bytes().count() == row.at("expert_bytes"));
  }
}

TEST_CASE("The experts of an imported model are most of its published parameters") {
  for (const Json& row : published()) {
    CAPTURE(row.at("name"));
    const MoeModel model = import(row.at("config")).model;
    double parameters = 0;
    for (const moeshift::ExpertTensor& tensor : model.expert_tensors) {
      const bool weight = tensor.name.find("weight") + 6 == tensor.name.size() ||
                          tensor.name.find("qweight") != std::string::npos;
      if (weight) parameters += static_cast<double>(tensor.shape[0] * tensor.shape[1]);
    }
    parameters *= static_cast<double>(model.num_layers * model.num_experts);
    const double share = parameters / row.at("published_parameters").get<double>();
    CHECK(share > 0.85);
    CHECK(share < 1.0);
  }
}

TEST_CASE("An imported model is written as a file that reads back equal") {
  for (const Json& row : published()) {
    CAPTURE(row.at("name"));
    const MoeModel model = import(row.at("config")).model;
    const std::string text = moeshift::moe_model_text(model);
    const Json json = moeshift::parse_json(text, "m.json");
    const MoeModel again = moeshift::read_moe_model({json, "m.json"});
    CHECK(moeshift::moe_model_text(again) == text);
    CHECK(again.layer_ids == model.layer_ids);
    CHECK(again.num_hidden_layers == model.num_hidden_layers);
    CHECK(again.mtp_layer_ids == model.mtp_layer_ids);
    CHECK(again.expert_bytes() == model.expert_bytes());
  }
}

TEST_CASE("Draft layers are counted when they are asked for, after all others") {
  const HfImport plain = import(config_of("DeepSeek-V3"));
  CHECK(plain.model.mtp_layer_ids == std::vector<std::int64_t>{61});
  const HfImport with = import(config_of("DeepSeek-V3"), true);
  CHECK(with.model.num_layers == 59);
  CHECK(with.model.layer_ids.back() == 61);
  CHECK(with.model.num_hidden_layers == 61U);
  CHECK_FALSE(import(config_of("Kimi-K2"), true).assumed.empty());
}

TEST_CASE("What config.json does not say is asked for by all the names it could have") {
  Json config = config_of("DeepSeek-V3");
  config.erase("n_routed_experts");
  CHECK(fault_of(config).find("n_routed_experts, num_experts, num_local_experts") !=
        std::string::npos);
  config = config_of("DeepSeek-V3");
  config.erase("moe_intermediate_size");  // the dense layers' width is no answer
  CHECK(fault_of(config).find("moe_intermediate_size") != std::string::npos);
  CHECK(fault_of(Json::parse(R"({"model_type": "llama", "num_hidden_layers": 4})"))
            .rfind("config.json#: expected one of the keys", 0) == 0);
  CHECK(fault_of(Json::array()).rfind("config.json#: expected the config.json", 0) == 0);
}

TEST_CASE("A quantisation that is not known is refused, never taken for none") {
  Json config = config_of("Qwen3-30B-A3B");
  config["quantization_config"] = {{"quant_method", "tea_leaves"}};
  CHECK(fault_of(config).find("quant_method 'tea_leaves' is not known") != std::string::npos);
}

TEST_CASE("Experts that the quantisation leaves alone keep their dtype") {
  Json config = config_of("GLM-4.5-Air-FP8");
  config["quantization_config"]["ignore"].push_back("re:.*mlp.experts.*");
  CHECK(import(config).model.expert_bytes().count() == 3LL * 4096 * 1408 * 2);
}

TEST_CASE(
    "Experts of single layers that are left alone are told, in draft layers they do not count") {
  Json config = config_of("GLM-4.5-Air-FP8");
  const auto bytes = import(config).model.expert_bytes();
  const std::int64_t last = import(config).model.layer_ids.back();
  auto& ignored = config["quantization_config"]["ignore"];
  ignored.push_back("model.layers." + std::to_string(last + 1) + ".mlp.experts.0.up_proj");
  CHECK(import(config).model.expert_bytes() == bytes);
  CHECK(import(config).assumed.empty());
  ignored.push_back("re:model\\.layers\\.7\\.mlp\\.experts.*");
  HfImport imported = import(config);
  CHECK(imported.model.expert_bytes() == bytes);
  REQUIRE(imported.assumed.size() == 1);
  CHECK(imported.assumed[0].find("experts of layers 7 are not quantised") != std::string::npos);
  for (const std::int64_t layer : imported.model.layer_ids) {
    ignored.push_back("model.layers." + std::to_string(layer) + ".mlp.experts.0.up_proj");
  }
  CHECK(import(config).model.expert_bytes().count() == 3LL * 4096 * 1408 * 2);
  config = config_of("DeepSeek-V3");
  config["quantization_config"]["ignored_layers"] = {"model.layers.3.mlp.experts"};
  CHECK(import(config).assumed.size() == 1);
}

TEST_CASE("Of several groups of a quantisation that one counts whose targets are experts") {
  const Json channel = {{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}};
  const Json fours = {{"num_bits", 4}, {"type", "int"}, {"strategy", "group"}, {"group_size", 32}};
  Json config = config_of("DeepSeek-V3");
  const auto with = [&](const Json& groups) {
    config["quantization_config"] = {{"quant_method", "compressed-tensors"},
                                     {"config_groups", groups}};
    return import(config).model.expert_tensors.front().dtype;
  };
  const Json attention = {{"targets", {"re:.*self_attn.*"}}, {"weights", channel}};
  const Json linear = {{"targets", {"Linear"}}, {"weights", channel}};
  const Json experts = {{"targets", {"re:.*mlp\\.experts\\..*"}}, {"weights", fours}};
  const Json gates = {{"targets", {"re:.*(gate|up|down)_proj.*"}}, {"weights", fours}};
  CHECK(with({{"a", attention}, {"b", experts}}) == "int4");
  CHECK(with({{"a", attention}, {"b", gates}}) == "int4");
  CHECK(with({{"a", linear}, {"b", experts}}) == "int4");
  CHECK(with({{"a", experts}, {"b", linear}}) == "int4");
  CHECK(with({{"a", attention}, {"b", linear}}) == "fp8_e4m3");
  CHECK(with({{"a", attention}}) == "bf16");
  const Json others = {{"targets", {"re:.*mlp.*"}}, {"weights", channel}};
  config["quantization_config"]["config_groups"] = {{"a", others}, {"b", experts}};
  CHECK(fault_of(config).find("several groups cover the experts") != std::string::npos);
}

TEST_CASE("Counts that contradict each other are refused") {
  Json config = config_of("DeepSeek-V3");
  config["num_experts"] = 64;
  CHECK(fault_of(config).find("#/num_experts: expected 256") != std::string::npos);
  config["num_experts"] = 256;
  CHECK(fault_of(config) == "no error");
  config["n_group"] = 7;
  CHECK(fault_of(config).find("256 experts do not divide evenly into 7 groups") !=
        std::string::npos);
  config["n_group"] = 8;
  config["num_experts_per_tok"] = 300;
  CHECK(fault_of(config).find("300 experts per token of 256") != std::string::npos);
}

TEST_CASE("Experts of unequal widths are refused") {
  Json config = config_of("Hunyuan-A13B");
  config["moe_intermediate_size"][3] = 1024;
  CHECK(fault_of(config).find("/moe_intermediate_size: expected the same number in every layer") !=
        std::string::npos);
}

TEST_CASE("An unknown family is read by its keys and says so") {
  Json config = config_of("DeepSeek-V3");
  config["model_type"] = "unheard_of";
  const HfImport imported = import(config);
  REQUIRE(imported.assumed.size() == 1);
  CHECK(imported.assumed.front().find("unheard_of") != std::string::npos);
  CHECK(imported.model.num_layers == 58);
}

TEST_CASE("Experts of Nemotron-H have no gate, said or not") {
  Json config = config_of("DeepSeek-V2-Lite");
  const auto gated = import(config).model.expert_bytes().count();
  config["model_type"] = "nemotron_h";
  const HfImport silent = import(config);
  CHECK(silent.model.expert_bytes().count() == gated / 3 * 2);
  REQUIRE(silent.assumed.size() == 1);
  CHECK(silent.assumed.front().find("mlp_hidden_act is not given") == 0);
  config["mlp_hidden_act"] = "relu2";
  CHECK(import(config).model.expert_bytes().count() == gated / 3 * 2);
  CHECK(import(config).assumed.empty());
}

TEST_CASE("All keys that are missing are told in one message") {
  Json config = config_of("DeepSeek-V3");
  for (const char* key : {"hidden_size", "moe_intermediate_size", "num_hidden_layers"}) {
    config.erase(key);
  }
  const std::string fault = fault_of(config);
  for (const char* key : {"hidden_size", "moe_intermediate_size", "num_hidden_layers"}) {
    CHECK(fault.find(key) != std::string::npos);
  }
  CHECK(fault.find("n_routed_experts") == std::string::npos);
}

TEST_CASE("Of experts per modality those of text are read, with a line that says so") {
  const HfImport imported = import(Json::parse(R"({"model_type": "ernie4_5_moe_vl",
    "num_hidden_layers": 54, "moe_num_experts": [64, 32], "moe_k": 8, "hidden_size": 8192,
    "moe_layer_start_index": [3, 4], "moe_layer_end_index": [53, 52], "moe_layer_interval": 1,
    "moe_intermediate_size": [3584, 1536], "torch_dtype": "bfloat16"})"));
  CHECK(imported.model.num_experts == 64);
  CHECK(imported.model.num_layers == 51);
  CHECK(imported.model.expert_bytes().count() == 3LL * 8192 * 3584 * 2);
  REQUIRE(imported.assumed.size() == 1);
  CHECK(imported.assumed.front().find("experts per modality") == 0);
}

TEST_CASE("A number that is Infinity is refused where it is read, by its key") {
  Json config = config_of("DeepSeek-V3");
  config["rope_scaling"] = {{"factor", INFINITY}};
  CHECK_NOTHROW(import(config));
  for (const char* key : {"n_routed_experts", "hidden_size", "num_hidden_layers", "topk_group"}) {
    Json bad = config;
    bad[key] = NAN;
    CAPTURE(key);
    CHECK(fault_of(bad).starts_with(std::string("config.json#/") + key + ": expected"));
  }
}

TEST_CASE("Layers whose dictionaries give their experts another shape are refused by their key") {
  const Json config = config_of("Nemotron-3-Nano-30B-A3B");
  const auto blocks = [&](const char* key, const Json& list) {
    Json with = config;
    with[key] = list;
    return with;
  };
  const std::size_t layers = 52;
  const Json same = {{"block_type", "moe"}, {"n_routed_experts", 128}, {"num_experts_per_tok", 6}};
  CHECK(import(blocks("block_configs", Json(layers, same))).assumed.empty());
  CHECK(import(blocks("block_configs", Json(layers, {{"n_routed_experts", 0}}))).assumed.empty());
  for (const char* key : {"n_routed_experts", "moe_intermediate_size", "num_experts_per_tok"}) {
    CAPTURE(key);
    const std::string fault =
        fault_of(blocks("block_configs", Json(layers, {{"block_type", "moe"}, {key, 5}})));
    CHECK(fault.starts_with(std::string("config.json#/block_configs/0/") + key + ": 5 here"));
    CHECK(fault.find("whole config") != std::string::npos);
  }
  const Json deep = {{"ffn", {{"moe", {{"num_local_experts", 64}}}}}};
  CHECK(fault_of(blocks("layers", {nullptr, Json::object(), deep}))
            .starts_with("config.json#/layers/2/ffn/moe/num_local_experts: 64 here"));
  CHECK(fault_of(blocks("per_layer", {{"0", same}, {"1", {{"n_routed_experts", 2}}}}))
            .starts_with("config.json#/per_layer/1/n_routed_experts: 2 here, 128 for the model"));
  const auto told = import(blocks("block_configs", Json(layers, {{"expert_merge", 2}}))).assumed;
  REQUIRE(told.size() == 1);
  CHECK(told.front() == "expert_merge of single layers, in block_configs, is not read");
}

TEST_CASE("Lists of dictionaries that are no layers of the language model say nothing of experts") {
  Json config = config_of("Llama-4-Scout");
  config["vision_config"]["blocks"] = Json(3, {{"num_experts", 2}});
  CHECK(import(config).assumed.empty());
  config["block_configs"] = Json(3, {{"num_local_experts", 2}});
  CHECK(fault_of(config).starts_with("config.json#/block_configs/0/num_local_experts"));
}

TEST_CASE("Families that keep the width of an expert in intermediate_size are read so") {
  struct Case {
    const char* config;
    std::int64_t bytes;
  };
  for (const Case& each : {
           Case{R"({"model_type": "aria", "text_config": {"model_type": "aria_text",
             "hidden_size": 2560, "intermediate_size": 1664, "moe_num_experts": 64,
             "moe_topk": 6, "num_hidden_layers": 28, "torch_dtype": "bfloat16"}})",
                3LL * 2560 * 1664 * 2},
           Case{R"({"model_type": "jetmoe", "hidden_size": 2048, "intermediate_size": 5632,
             "num_experts_per_tok": 2, "num_local_experts": 8, "num_hidden_layers": 24,
             "torch_dtype": "bfloat16"})",
                3LL * 2048 * 5632 * 2},
           Case{R"({"model_type": "xverse", "hidden_size": 2560, "intermediate_size": 1728,
             "num_experts": 64, "moe_top_k": 6, "num_hidden_layers": 28,
             "torch_dtype": "bfloat16"})",
                3LL * 2560 * 1728 * 2},
           Case{R"({"model_type": "granitemoeshared", "hidden_size": 1536,
             "intermediate_size": 512, "num_experts_per_tok": 6, "num_local_experts": 62,
             "num_hidden_layers": 40, "torch_dtype": "bfloat16"})",
                3LL * 1536 * 512 * 2},
       }) {
    CAPTURE(each.config);
    const HfImport imported = import(Json::parse(each.config));
    CHECK(imported.model.expert_bytes().count() == each.bytes);
    CHECK(imported.assumed.empty());
  }
}

TEST_CASE(
    "Where the width of an expert is missing, intermediate_size is offered as what it may be") {
  Json config = config_of("DeepSeek-V3");
  config.erase("moe_intermediate_size");
  CHECK(fault_of(config).find("where intermediate_size is the width of an expert, write it as "
                              "moe_intermediate_size too") != std::string::npos);
  config.erase("intermediate_size");
  CHECK(fault_of(config).find("intermediate_size is the width") == std::string::npos);
}
