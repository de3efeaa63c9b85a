// SPDX-License-Identifier: Apache-2.0
// What quantised checkpoints store of an expert, by what their config.json says: the shapes are
// DeepSeek-V3's, three projections of 7168 x 2048.
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/checkpoint/hf_config.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/model/hf_import.hpp"

namespace {

using moeshift::HfImport;
using moeshift::LayerId;
using moeshift::MoeModel;
using moeshift::test::fault_of;
using moeshift::test::import;
using Json = nlohmann::ordered_json;

constexpr std::int64_t kValues = 3LL * 7168 * 2048;
constexpr std::int64_t kChannels = 2 * 2048 + 7168;
constexpr const char* kNextStep = "write the tensors of an expert as in docs/configs.md";

Json deepseek() {
  return Json::parse(R"({"model_type": "deepseek_v3", "num_hidden_layers": 61,
    "first_k_dense_replace": 3, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1,
    "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
    "torch_dtype": "bfloat16"})");
}

HfImport quantised(const Json& quantization) {
  Json config = deepseek();
  config["quantization_config"] = quantization;
  return import(config);
}

std::int64_t bytes_of(const HfImport& imported) {
  return imported.model.expert_bytes().count();
}

std::string fault_of_quantised(const Json& quantization) {
  Json config = deepseek();
  config["quantization_config"] = quantization;
  return fault_of(config);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool has_tensor(const HfImport& imported, const std::string& name) {
  for (const auto& tensor : imported.model.expert_tensors) {
    if (tensor.name == name) return true;
  }
  return false;
}

Json compressed(const Json& weights, const Json& ignore = Json::array()) {
  return {{"quant_method", "compressed-tensors"},
          {"config_groups", {{"g", {{"targets", {"Linear"}}, {"weights", weights}}}}},
          {"ignore", ignore}};
}

const char* const kFours =
    R"({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128})";
const char* const kEights = R"({"num_bits": 8, "type": "float", "strategy": "tensor"})";

}  // namespace

TEST_CASE("MindIE's key quantize is read, and refused where its value is not known") {
  Json config = deepseek();
  config["quantize"] = "w8a8_dynamic";
  CHECK(bytes_of(import(config)) == kValues + kChannels * 2 * 2);
  CHECK(import(config).assumed.empty());
  config["quantize"] = "W8A16";
  CHECK(bytes_of(import(config)) == kValues + kChannels * 2 * 2);
  for (const char* type : {"w8a8", "w4a8_dynamic", "w8a8s", "tea_leaves"}) {
    config["quantize"] = type;
    CHECK(contains(fault_of(config), "/quantize: '" + std::string(type) + "' is not known"));
    CHECK(contains(fault_of(config), kNextStep));
  }
  config["quantize"] = "float";
  CHECK(bytes_of(import(config)) == kValues * 2);
  config["moe_quantize"] = "w8a8_dynamic";  // of experts alone
  CHECK(bytes_of(import(config)) == kValues + kChannels * 2 * 2);
}

TEST_CASE("Where quantize and quantization_config differ a line says which is read") {
  Json config = deepseek();
  config["quantize"] = "w8a8_dynamic";
  config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
  const HfImport imported = import(config);
  CHECK(imported.model.expert_tensors.front().dtype == "int8");
  REQUIRE(imported.assumed.size() == 1);
  CHECK(contains(imported.assumed.front(), "says w8a8_dynamic, quantization_config fp8"));
}

TEST_CASE("Ascend's types of weights are read where they are, and asked for where they are not") {
  CHECK(contains(fault_of_quantised({{"quant_method", "ascend"}}), "\"quantize\""));
  Json types = {{"quant_method", "ascend"},
                {"model.layers.3.self_attn.o_proj.weight", "FLOAT"},
                {"model.layers.3.mlp.experts.0.up_proj.weight", "W8A8_DYNAMIC"}};
  CHECK(bytes_of(quantised(types)) == kValues + kChannels * 2 * 2);
  types["model.layers.4.mlp.experts.0.up_proj.weight"] = "W4A8_DYNAMIC";
  CHECK(contains(fault_of_quantised(types), "several types (W4A8_DYNAMIC, W8A8_DYNAMIC)"));
  types["model.layers.3.mlp.experts.1.up_proj.weight"] = "FLOAT";
  CHECK(contains(fault_of_quantised(types), "several types (FLOAT, W4A8_DYNAMIC, W8A8_DYNAMIC)"));
}

TEST_CASE("quark's settings of experts win over those of all modules") {
  Json quark = {
      {"quant_method", "quark"},
      {"global_quant_config", {{"weight", {{"dtype", "fp8_e4m3"}, {"qscheme", "per_tensor"}}}}},
      {"layer_quant_config", {{"*self_attn*", {{"weight", {{"dtype", "fp4"}}}}}}}};
  CHECK(bytes_of(quantised(quark)) == kValues + 3 * 4);
  quark["layer_quant_config"]["*mlp.experts*"] = {{"weight", {{"dtype", "fp4"}}}};
  CHECK(bytes_of(quantised(quark)) == kValues / 2 + kValues / 32);
  quark["layer_quant_config"]["*mlp.experts*"] = {{"weight", nullptr}};
  CHECK(bytes_of(quantised(quark)) == kValues * 2);
  quark["layer_quant_config"] = {{"*.layers.7.mlp.*", {{"weight", {{"dtype", "fp4"}}}}}};
  CHECK(contains(fault_of_quantised(quark), "otherwise in layer 7 than in layer 3"));
}

TEST_CASE("Patterns that spare experts of some layers are told, whichever way they are written") {
  const Json eights = Json::parse(kEights);
  const auto told = [&](const Json& quantization, const std::string& layers) {
    CAPTURE(quantization.dump());
    const HfImport imported = quantised(quantization);
    REQUIRE(imported.assumed.size() == 1);
    CHECK(contains(imported.assumed.front(), "experts of layers " + layers + " are not quantised"));
    CHECK(imported.model.expert_tensors.front().dtype != "bf16");
  };
  told(compressed(eights, {"re:.*layers\\.3\\..*"}), "3");
  told(compressed(eights, {"re:.*layers\\.1[0-9]\\..*"}), "10, 11, 12, 13, 14, 15, 16, 17, 18, 19");
  told(compressed(eights, {"re:.*layers\\.(3|5)\\..*", "re:.*layers.60..*"}), "3, 5, 60");
  told(compressed(eights, {"model.layers.9"}), "9");
  told(compressed(eights, {"re:.*layers.4..*"}), "4, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49");
  told({{"quant_method", "modelopt"},
        {"quant_algo", "NVFP4"},
        {"exclude_modules", {"model.layers.2*"}}},
       "20, 21, 22, 23, 24, 25, 26, 27, 28, 29");
  told({{"quant_method", "gptq"},
        {"bits", 4},
        {"group_size", 128},
        {"dynamic", {{"-:.*\\.7\\.mlp\\..*", Json::object()}}}},
       "7");
}

TEST_CASE("An expert that a pattern names stands for all of its layer") {
  const Json eights = Json::parse(kEights);
  const auto assumed =
      quantised(
          compressed(eights, {"re:model\\.layers\\.8\\.mlp\\.experts\\.117\\.(gate|up|down)_proj",
                              "model.layers.9.mlp.experts.2.up_proj", "model.layers.10."}))
          .assumed;
  REQUIRE(assumed.size() == 1);
  CHECK(contains(assumed.front(), "experts of layers 8, 9, 10 are not quantised"));
  const auto unmatched =
      quantised(compressed(eights, {"re:a\\.experts.*", "re:b\\.experts.*"})).assumed;
  REQUIRE(unmatched.size() == 1);
  CHECK(contains(unmatched.front(), "(and 1 like it) matches no name"));
}

TEST_CASE("Patterns about other modules spare no experts") {
  const HfImport imported = quantised(
      compressed(Json::parse(kEights),
                 {"lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", "re:.*mlp\\.gate$",
                  "re:.*mlp\\.(gate|up|gate_up|down)_proj.*", "model.layers.61*", "gate",
                  "re:model\\.layers\\.61\\.mlp\\.experts.*", "*.mlp.router", "model.layers.0*"}));
  CHECK(imported.assumed.empty());
  CHECK(bytes_of(imported) == kValues + 3 * 4);
}

TEST_CASE("One projection alone may be spared or have other bits") {
  const HfImport down = quantised(compressed(Json::parse(kEights), {"re:.*down_proj$"}));
  CHECK(bytes_of(down) == kValues / 3 * 2 + kValues / 3 * 2 + 2 * 4);
  Json gptq = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}};
  const std::int64_t fours = bytes_of(quantised(gptq));
  gptq["dynamic"] = {{"+:.*\\.down_proj.*", {{"bits", 8}}}};
  CHECK(bytes_of(quantised(gptq)) == fours + kValues / 3 / 2 + 2048 / 128 * 7168 / 2);
  gptq["bits"] = 3;
  CHECK(contains(fault_of_quantised({{"quant_method", "gptq"}, {"bits", 3}}), kNextStep));
}

TEST_CASE("A pattern about experts that cannot be followed is told") {
  const Json eights = Json::parse(kEights);
  const HfImport unknown = quantised(compressed(eights, {"re:(?<=mlp)\\.experts.*"}));
  REQUIRE(unknown.assumed.size() == 1);
  CHECK(contains(unknown.assumed.front(), "no pattern that is understood"));
  const HfImport elsewhere = quantised(compressed(eights, {"re:encoder\\.experts.*"}));
  REQUIRE(elsewhere.assumed.size() == 1);
  CHECK(contains(elsewhere.assumed.front(), "matches no name"));
}

TEST_CASE("Groups that differ between layers are refused") {
  Json quantization = compressed(Json::parse(kEights));
  quantization["config_groups"]["h"] = {{"targets", {"re:.*layers\\.8\\.mlp\\.experts.*"}},
                                        {"weights", Json::parse(kFours)}};
  CHECK(contains(fault_of_quantised(quantization), "other weights in layer 8 than in layer 3"));
}

TEST_CASE("Zero points and orders of inputs are among the tensors") {
  Json weights = Json::parse(kFours);
  const std::int64_t symmetric = bytes_of(quantised(compressed(weights)));
  CHECK(symmetric == kValues / 2 + kValues / 128 * 2);
  weights["symmetric"] = false;
  CHECK(bytes_of(quantised(compressed(weights))) == symmetric + kValues / 128 / 2);
  CHECK(has_tensor(quantised(compressed(weights)), "up_proj.weight_zero_point"));
  weights["actorder"] = "group";
  CHECK(has_tensor(quantised(compressed(weights)), "down_proj.weight_g_idx"));
  weights["actorder"] = "weight";
  CHECK_FALSE(has_tensor(quantised(compressed(weights)), "down_proj.weight_g_idx"));
  Json gptq = {{"quant_method", "gptq"}, {"bits", 4}, {"desc_act", true}};
  CHECK(has_tensor(quantised(gptq), "down_proj.g_idx"));
  gptq["desc_act"] = false;
  CHECK_FALSE(has_tensor(quantised(gptq), "down_proj.g_idx"));
}

TEST_CASE("SGLang's w4afp8 is four bits and a scale per group") {
  CHECK(bytes_of(quantised({{"quant_method", "w4afp8"}})) == kValues / 2 + kValues / 128 * 2);
}

TEST_CASE("ModelOpt's mixed precision is read where it names all experts alike, else refused") {
  Json layers = Json::object();
  for (int layer = 3; layer < 61; ++layer) {
    for (int expert = 0; expert < 4; ++expert) {
      for (const char* projection : {"gate_proj", "up_proj", "down_proj"}) {
        layers["model.layers." + std::to_string(layer) + ".mlp.experts." + std::to_string(expert) +
               "." + projection] = {{"quant_algo", "NVFP4"}};
      }
    }
  }
  layers["model.layers.3.self_attn.o_proj"] = {{"quant_algo", "FP8"}};
  Json mixed = {{"quant_method", "modelopt"},
                {"quant_algo", "MIXED_PRECISION"},
                {"quantized_layers", layers}};
  CHECK(bytes_of(quantised(mixed)) == kValues / 2 + kValues / 16 + 3 * 8);
  mixed["quantized_layers"]["model.layers.9.mlp.experts.2.up_proj"]["quant_algo"] = "FP8";
  CHECK(contains(fault_of_quantised(mixed), "experts differ"));
  mixed["quantized_layers"].erase("model.layers.9.mlp.experts.2.up_proj");
  CHECK(contains(fault_of_quantised(mixed), "names 3 of 4 experts in layer 9 (up_proj)"));
  mixed.erase("quantized_layers");
  CHECK(contains(fault_of_quantised(mixed), kNextStep));
}

TEST_CASE("Wildcards have the classes of characters that Python's fnmatch has") {
  // `spared`: of the layers 3 to 8 those that stay as they were trained.
  const auto spared = [](const std::string& wildcard) {
    Json config = deepseek();
    config["num_hidden_layers"] = 9;
    config["quantization_config"] = {
        {"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"exclude_modules", {wildcard}}};
    const MoeModel model = import(config).model;
    std::string layers;
    for (const LayerId layer : moeshift::all_ids<LayerId>(model.num_layers)) {
      const bool trained = model.expert_sizes().largest(layer).count() == kValues * 2;
      if (trained) layers += std::to_string(model.layer_ids[layer.index()]);
    }
    return layers;
  };
  CHECK(spared("model.layers.[34].*") == "34");
  CHECK(spared("model.layers.[3-5].mlp.experts") == "345");
  CHECK(spared("model.layers.[!3-5]*") == "678");
  CHECK(spared("model.layers.[!3].*") == "45678");
  CHECK(spared("model.layers.[57-8].*") == "578");
  CHECK(spared("model.layers.[5-3].*").empty());       // an empty range
  CHECK(spared("model.layers.[!5-3].*") == "345678");  // whatever is not in it
  CHECK(spared("model.layers.[]4].*") == "4");
  CHECK(spared("model.layers.[^4].*") == "4");  // the circumflex means itself
  CHECK(spared("model.layers.[\\d-].*").empty());
  CHECK(spared("model.layers.[[:digit:]].*").empty());
  CHECK(spared("model[.]layers[.]6[.]*") == "6");
  CHECK(spared("model.layers.[4.*").empty());  // nothing ends it: a bracket
  CHECK(spared("model.layers.?.*") == "345678");
}

TEST_CASE("AutoRound stores experts as GPTQ does, but those that extra_config spares") {
  Json round = {{"quant_method", "auto-round"},
                {"bits", 4},
                {"group_size", 128},
                {"sym", true},
                {"data_type", "int"},
                {"packing_format", "auto_round:auto_gptq"}};
  const std::int64_t four = kValues / 2 + kValues / 128 / 2 + kValues / 128 * 2;
  CHECK(bytes_of(quantised(round)) == four);
  round["block_name_to_quantize"] = "model.layers";
  round["extra_config"] = {{"model.layers.3.mlp.gate", {{"bits", 16}, {"data_type", "float"}}},
                           {".*shared_experts.*", {{"bits", 8}, {"group_size", 64}}}};
  const HfImport plain = quantised(round);
  CHECK(bytes_of(plain) == four);
  CHECK_FALSE(plain.model.bytes_per_expert);
  round["extra_config"]["model.layers.3.mlp.experts.0.up_proj"] = {{"bits", 16}};
  const MoeModel spared = quantised(round).model;
  CHECK(spared.expert_sizes().largest(LayerId(0)).count() == kValues * 2);
  CHECK(spared.expert_sizes().largest(LayerId(1)).count() == four);
  round["extra_config"]["experts\\.\\d+\\.down"] = {{"bits", 8}};
  CHECK(contains(fault_of_quantised(round), "gives experts settings of their own"));
  round.erase("extra_config");
  round["block_name_to_quantize"] = Json::array({"visual.blocks"});
  CHECK(bytes_of(quantised(round)) == kValues * 2);
  for (const auto& [key, value] : {std::pair{"packing_format", Json("auto_round:llm_compressor")},
                                   {"data_type", Json("mx_fp")},
                                   {"bits", Json(3)}}) {
    Json other = round;
    other.erase("block_name_to_quantize");
    other[key] = value;
    CAPTURE(key);
    CHECK(contains(fault_of_quantised(other), kNextStep));
  }
}

TEST_CASE("vllm-ascend's W4A8_DYNAMIC has two weights a byte and scales per output and group") {
  Json types = {{"quant_method", "ascend"},
                {"version", "1.0.0"},
                {"group_size", 256},
                {"model.layers.3.mlp.experts.0.up_proj.weight", "W4A8_DYNAMIC"}};
  const std::int64_t channels = kValues / 2 + (2 * kChannels + 2 * 2048 + 16 * 7168) * 4;
  CHECK(bytes_of(quantised(types)) == channels + kValues / 256 * 2 * 4);
  types["group_size"] = 0;
  CHECK(bytes_of(quantised(types)) == channels);
  types.erase("version");
  CHECK(contains(fault_of_quantised(types), "is known in version"));
}
