// SPDX-License-Identifier: Apache-2.0
// Where a checkpoint says how it is quantised, files beside config.json included, and what of that
// is stored how: the shapes are DeepSeek-V3's, three projections of 7168 x 2048.
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/model/hf_import.hpp"

namespace {

using moeshift::ExpertId;
using moeshift::HfImport;
using moeshift::LayerId;
using moeshift::test::fault_of;
using moeshift::test::import;
using moeshift::test::import_beside;
using Json = nlohmann::ordered_json;

constexpr std::int64_t kValues = 3LL * 7168 * 2048;
constexpr std::int64_t kChannels = 2 * 2048 + 7168;
constexpr std::int64_t kBf16 = kValues * 2;
constexpr std::int64_t kNvfp4 = kValues / 2 + kValues / 16 + 3 * 8;
constexpr std::int64_t kAwq = kValues / 2 + kValues / 128 / 2 + kValues / 128 * 2;

Json deepseek(const Json& quantization = nullptr) {
  Json config = Json::parse(R"({"model_type": "deepseek_v3", "num_hidden_layers": 6,
    "first_k_dense_replace": 3, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
    "num_nextn_predict_layers": 1, "torch_dtype": "bfloat16"})");
  if (!quantization.is_null()) config["quantization_config"] = quantization;
  return config;
}

std::int64_t bytes_of(const HfImport& imported) {
  return imported.model.expert_bytes().count();
}

std::int64_t bytes_of_layer(const HfImport& imported, std::size_t layer) {
  return imported.model.expert_sizes()(LayerId(layer), ExpertId(0)).count();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string joined(const HfImport& imported) {
  std::string all;
  for (const std::string& line : imported.assumed) all += line + "\n";
  return all;
}

Json modelopt_file(const char* algorithm) {
  return {{"producer", {{"name", "modelopt"}}},
          {"quantization", {{"quant_algo", algorithm}, {"exclude_modules", {"lm_head"}}}}};
}

Json ascend_list(const char* type) {
  Json list = {{"model_quant_type", type}};
  for (int layer = 3; layer < 6; ++layer) {
    const std::string name = "model.layers." + std::to_string(layer) + ".mlp.experts.0.";
    for (const char* part : {"gate_proj", "up_proj", "down_proj"}) {
      list[name + part + ".weight"] = type;
      list[name + part + ".weight_scale"] = type;
    }
  }
  return list;
}

const Json kAwqFile = {
    {"zero_point", true}, {"q_group_size", 128}, {"w_bit", 4}, {"version", "GEMM"}};
const Json kGptqFile = {{"bits", 4}, {"group_size", 128}, {"desc_act", false}, {"sym", true}};
const Json kNvfp4Config = {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}};
const Json kFp8Config = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};

Json compressed(const Json& weights, const char* format) {
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"config_groups", {{"g", {{"targets", {"Linear"}}, {"weights", weights}}}}}};
}

Json ints(int bits) {
  return {{"num_bits", bits}, {"type", "int"}, {"strategy", "group"}, {"group_size", 128}};
}

Json floats(int bits, const char* strategy, const Json& group = nullptr) {
  return {{"num_bits", bits}, {"type", "float"}, {"strategy", strategy}, {"group_size", group}};
}

}  // namespace

TEST_CASE("A quantisation that a file beside config.json tells is read, with a line") {
  const auto read = [](const char* file, const Json& json, std::int64_t bytes) {
    CAPTURE(file);
    const HfImport imported = import_beside(deepseek(), {{file, json}});
    CHECK(bytes_of(imported) == bytes);
    CHECK(contains(joined(imported), file));
  };
  read("hf_quant_config.json", modelopt_file("NVFP4"), kNvfp4);
  read("hf_quant_config.json", modelopt_file("nvfp4"), kNvfp4);
  read("hf_quant_config.json", modelopt_file("MIXED_PRECISION"), kValues / 2 + kValues / 128 * 2);
  read("quant_model_description.json", ascend_list("W8A8_DYNAMIC"), kValues + kChannels * 4);
  read("quant_model_description_w8a8.json", ascend_list("FLOAT"), kBf16);
  read("quant_config.json", kAwqFile, kAwq);
  read("quantize_config.json", kGptqFile, kAwq);
  read("quantize_config.json", kAwqFile, kAwq);
  Json cache = modelopt_file("NVFP4");
  cache["quantization"]["quant_algo"] = nullptr;
  CHECK(bytes_of(import_beside(deepseek(), {{"hf_quant_config.json", cache}})) == kBf16);
}

TEST_CASE("A file beside config.json that is not understood is refused by its name") {
  for (const char* file : {"hf_quant_config.json", "quant_config.json", "quantize_config.json",
                           "quant_model_description.json"}) {
    CAPTURE(file);
    for (const Json& json : {Json::object({{"tea", "leaves"}}), Json::array()}) {
      CHECK(fault_of(deepseek(), {{file, json}}).rfind(file, 0) == 0);
    }
  }
}

TEST_CASE(
    "A file beside config.json that says the same is silent, one that contradicts is refused") {
  const auto both = [](const Json& own, const char* file, const Json& json) {
    return fault_of(deepseek(own), {{file, json}});
  };
  CHECK(both(kNvfp4Config, "hf_quant_config.json", modelopt_file("NVFP4")) == "no error");
  CHECK(joined(import_beside(deepseek(kNvfp4Config),
                             {{"hf_quant_config.json", modelopt_file("NVFP4")}}))
            .empty());
  CHECK(contains(both(kFp8Config, "hf_quant_config.json", modelopt_file("NVFP4")),
                 "hf_quant_config.json#/quantization: by this an expert of layer 3 has"));
  CHECK(contains(both(kFp8Config, "quant_model_description.json", ascend_list("W8A8_DYNAMIC")),
                 "quant_model_description.json"));
  CHECK(contains(fault_of(deepseek(), {{"hf_quant_config.json", modelopt_file("NVFP4")},
                                       {"quantize_config.json", kGptqFile}}),
                 "quantize_config.json"));
  const HfImport strange =
      import_beside(deepseek(kFp8Config), {{"quant_config.json", {{"tea", "leaves"}}}});
  CHECK(bytes_of(strange) == bytes_of(import(deepseek(kFp8Config))));
  CHECK(contains(joined(strange), "quant_config.json says something too that is not understood"));
}

TEST_CASE("What config.json only hints at is read from the file that says it") {
  const Json ascend = {{"quant_method", "ascend"}};
  const Json list = ascend_list("W8A8_DYNAMIC");
  CHECK(bytes_of(import_beside(deepseek(ascend), {{"quant_model_description.json", list}})) ==
        kValues + kChannels * 4);
  Json mixed = modelopt_file("MIXED_PRECISION");
  for (int layer = 3; layer < 6; ++layer) {
    mixed["quantization"]["quantized_layers"]
         ["model.layers." + std::to_string(layer) + ".mlp.experts"] = {{"quant_algo", "NVFP4"}};
  }
  const Json hint = {{"quant_method", "modelopt"}, {"quant_algo", "MIXED_PRECISION"}};
  CHECK(bytes_of(import_beside(deepseek(hint), {{"hf_quant_config.json", mixed}})) == kNvfp4);
}

TEST_CASE("Two quantisations in one part of config.json are refused where they differ") {
  Json config = {{"model_type", "kimi_k25"}, {"text_config", deepseek(kNvfp4Config)}};
  config["text_config"]["compression_config"] = kFp8Config;
  CHECK(contains(fault_of(config), "#/text_config/compression_config: differs from"));
  config["text_config"]["compression_config"] = kNvfp4Config;
  config["quantization_config"] = kNvfp4Config;
  CHECK(bytes_of(import(config)) == kNvfp4);
}

TEST_CASE("A quantisation under another key is read or refused, never passed over") {
  for (const char* key : {"quantization", "quant_config", "quantize_config"}) {
    CAPTURE(key);
    Json config = deepseek();
    config[key] = {{"group_size", 64}, {"bits", 4}};  // MLX
    CHECK(contains(fault_of(config), key));
    CHECK(contains(fault_of(config), "is not known"));
    config[key] = kNvfp4Config;
    CHECK(bytes_of(import(config)) == kNvfp4);
  }
}

TEST_CASE("ModelOpt's nested form is read as its flat one, by its own list of what stays") {
  const Json nested = {{"quant_method", "modelopt"},
                       {"quantization", {{"quant_algo", "NVFP4"}, {"group_size", 16}}}};
  CHECK(bytes_of(import(deepseek(nested))) == kNvfp4);
  Json spared = nested;
  spared["quantization"]["exclude_modules"] = {"lm_head", "model.layers.3.mlp.experts*"};
  CHECK(contains(joined(import(deepseek(spared))), "experts of layers 3 are not quantised"));
  spared["quant_algo"] = "NVFP4";  // the nested one is read where both are there
  spared["quantization"]["exclude_modules"] = {"*experts*"};
  CHECK(bytes_of(import(deepseek(spared))) == kBf16);
  CHECK(bytes_of(import(deepseek({{"quant_algo", "NVFP4"}, {"group_size", 16}}))) == kNvfp4);
  CHECK(bytes_of(import(deepseek(
            {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"group_size", 32}}))) ==
        kNvfp4 - kValues / 32);
}

TEST_CASE("AWQ and GPTQ are read by either name of their keys, and asked for bits") {
  const auto quantised = [](Json quantization, const char* method = "awq") {
    quantization["quant_method"] = method;
    return deepseek(quantization);
  };
  CHECK(bytes_of(import(quantised({{"w_bit", 8}, {"q_group_size", 64}}))) ==
        kValues + kValues / 64 + kValues / 64 * 2);
  CHECK(bytes_of(import(quantised({{"bits", 4}, {"group_size", 128}}, "awq_marlin"))) == kAwq);
  CHECK(contains(fault_of(quantised({{"bits", 4}, {"w_bit", 8}, {"group_size", 128}})),
                 "expected 8, as another key for the same says"));
  CHECK(contains(fault_of(quantised({{"group_size", 128}})), "w_bit, bits"));
  CHECK(contains(fault_of(quantised({{"group_size", 128}}, "gptq")), "bits"));
  CHECK(contains(joined(import(quantised({{"bits", 4}}))), "group_size is not given"));
  CHECK(contains(joined(import(quantised({{"bits", 4}}, "gptq"))), "group_size is not given"));
}

TEST_CASE("How compressed-tensors stores weights is its format, whatever bits they have") {
  const auto bytes = [](const Json& weights, const char* format) {
    return bytes_of(import(deepseek(compressed(weights, format))));
  };
  const std::int64_t scales = kValues / 128 * 2;
  CHECK(bytes(ints(4), "pack-quantized") == kValues / 2 + scales);
  CHECK(bytes(ints(4), "int-quantized") == kValues + scales);
  CHECK(bytes(ints(4), "naive-quantized") == kValues + scales);
  CHECK(bytes(ints(4), "dense") == kBf16);
  CHECK(bytes(floats(8, "channel"), "float-quantized") == kValues + kChannels * 4);
  CHECK(bytes(floats(8, "channel"), "dense") == kBf16);
  CHECK(bytes(floats(4, "tensor_group", 16), "nvfp4-pack-quantized") == kNvfp4);
  CHECK(bytes(floats(4, "group", 32), "mxfp4-pack-quantized") == kValues / 2 + kValues / 32);
  const auto fault = [](const Json& weights, const char* format) {
    return fault_of(deepseek(compressed(weights, format)));
  };
  CHECK(contains(fault(ints(4), "marlin-24"), "'marlin-24' is not known"));
  CHECK(contains(fault(ints(8), "nvfp4-pack-quantized"), "is not known"));
  CHECK(contains(fault(floats(4, "tensor"), "nvfp4-pack-quantized"), "groups of 16"));
  Json own = compressed(ints(4), "mixed-precision");
  own["config_groups"]["g"]["format"] = "int-quantized";
  CHECK(bytes_of(import(deepseek(own))) == kValues + scales);
}

TEST_CASE("Experts that are stored without their zeros are refused, others do not matter") {
  Json sparse = compressed(floats(8, "channel"), "float-quantized");
  sparse["sparsity_config"] = {{"format", "sparse-24-bitmask"}, {"targets", {"Linear"}}};
  CHECK(contains(fault_of(deepseek(sparse)), "'sparse-24-bitmask'"));
  sparse["sparsity_config"]["ignore"] = {"re:.*mlp\\.experts.*"};
  CHECK(fault_of(deepseek(sparse)) == "no error");
  sparse["sparsity_config"] = {{"format", "dense"}, {"targets", {"Linear"}}};
  CHECK(fault_of(deepseek(sparse)) == "no error");
}

TEST_CASE("Layers that a quantiser spares have bytes of their own") {
  Json quantization = kNvfp4Config;
  quantization["ignore"] = {"lm_head", "model.layers.4.*"};
  const HfImport imported = import(deepseek(quantization));
  CHECK(bytes_of(imported) == kNvfp4);
  CHECK(bytes_of_layer(imported, 0) == kNvfp4);
  CHECK(bytes_of_layer(imported, 1) == kBf16);
  CHECK(contains(joined(imported), "experts of layers 4 are not quantised"));
  const Json json = moeshift::parse_json(moeshift::moe_model_text(imported.model), "m.json");
  CHECK(moeshift::read_moe_model({json, "m.json"}).expert_sizes() == imported.model.expert_sizes());
}

TEST_CASE("A draft layer that a quantiser spares is counted as it was trained") {
  const auto spared = [](const Json& quantization) {
    CAPTURE(quantization.dump());
    const HfImport with = import(deepseek(quantization), true);
    REQUIRE(with.model.layer_ids.back() == 6);
    CHECK(bytes_of_layer(with, 2) == bytes_of(with));
    CHECK(bytes_of_layer(with, 3) == kBf16);
    CHECK(contains(joined(with), "experts of layers 6 are not quantised"));
    const HfImport without = import(deepseek(quantization));
    CHECK(joined(without).empty());
    CHECK(without.model.expert_sizes().uniform());
    CHECK(without.model.bytes_per_expert);  // so that nobody takes the draft for one of these
  };
  Json nvfp4 = kNvfp4Config;
  for (const char* name : {"model.layers.6*", "model.layers.6.mlp.experts", "mtp*", "mtp.layers.0*",
                           "mtp.layers.0.mlp.experts.0.up_proj"}) {
    nvfp4["ignore"] = {"lm_head", name};
    if (std::string(name) == "mtp.layers.0.mlp.experts.0.up_proj") {
      CHECK(bytes_of_layer(import(deepseek(nvfp4), true), 0) == kNvfp4);
      continue;
    }
    spared(nvfp4);
  }
  Json channels = compressed(floats(8, "channel"), "float-quantized");
  channels["ignore"] = {"lm_head", "re:model\\.layers\\.6\\..*"};
  spared(channels);
  channels["ignore"] = {"re:^mtp.*"};
  spared(channels);
}

TEST_CASE("A dtype of experts that nothing explains is refused") {
  Json config = deepseek();
  config["expert_dtype"] = "fp4";
  CHECK(contains(fault_of(config), "#/expert_dtype: 'fp4'"));
  config["quantization_config"] = kFp8Config;
  CHECK(bytes_of(import(config)) == kValues / 2 + kValues / 32);
  config["expert_dtype"] = "tea";
  CHECK(contains(fault_of(config), "#/expert_dtype: 'tea'"));
}

TEST_CASE("fbgemm_fp8 keeps a scale for every output") {
  const HfImport imported = import(deepseek({{"quant_method", "fbgemm_fp8"}}));
  CHECK(bytes_of(imported) == kValues + kChannels * 4);
}

TEST_CASE("What a text part was once quantised by gives way to what engines read before it") {
  const Json leftover = Json::parse(R"({"quant_method": "compressed-tensors",
    "format": "pack-quantized", "config_groups": {"group_0": {"targets": ["Linear"], "weights":
    {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": true}}}})");
  const Json text = deepseek(leftover);
  const Json nvfp4 = {
      {"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"ignore", {"lm_head"}}};
  Json whole = {{"model_type", "kimi_k25"}, {"text_config", text}};
  const std::int64_t int4 = bytes_of(import(whole));
  CHECK(int4 != kNvfp4);

  const HfImport beside = import_beside(whole, {{"hf_quant_config.json", modelopt_file("NVFP4")}});
  CHECK(bytes_of(beside) == kNvfp4);
  CHECK(contains(joined(beside), "#/text_config/quantization_config (compressed-tensors) is not"));
  // Of the cache of keys and values alone: it says nothing of weights.
  const Json cache = {{"quantization", {{"quant_algo", nullptr}, {"kv_cache_quant_algo", "FP8"}}}};
  CHECK(bytes_of(import_beside(whole, {{"hf_quant_config.json", cache}})) == int4);

  whole["quantization_config"] = nvfp4;
  CHECK(bytes_of(import(whole)) == kNvfp4);
  CHECK(contains(joined(import(whole)), "quantization_config of the whole is, as engines do"));
  whole["quantization_config"] = leftover;
  CHECK(import(whole).assumed.empty());
  whole.erase("quantization_config");
  whole["quant_config"] = nvfp4;  // no engine reads that one
  CHECK(contains(fault_of(whole), "differs from config.json#/text_config/quantization_config"));
}

TEST_CASE("MXFP8 by compressed-tensors has scales of a byte only where its format or dtype says") {
  const auto with = [](const char* format, const Json& dtype) {
    Json group = {
        {"targets", {"Linear"}},
        {"weights",
         {{"num_bits", 8}, {"type", "float"}, {"strategy", "group"}, {"group_size", 32}}}};
    if (!dtype.is_null()) group["weights"]["scale_dtype"] = dtype;
    return bytes_of(import(deepseek({{"quant_method", "compressed-tensors"},
                                     {"format", format},
                                     {"config_groups", {{"group_0", group}}}})));
  };
  CHECK(with("mxfp8-quantized", nullptr) == kValues + kValues / 32);
  CHECK(with("float-quantized", "torch.uint8") == kValues + kValues / 32);
  CHECK(with("float-quantized", nullptr) == kValues + kValues / 32 * 4);
}

TEST_CASE("Short names of dtypes are those of torch") {
  for (const auto& [name, bytes] : {std::pair{"bf16", 2},
                                    {"half", 2},
                                    {"fp16", 2},
                                    {"float", 4},
                                    {"fp32", 4},
                                    {"torch.float32", 4}}) {
    Json config = deepseek();
    config["torch_dtype"] = name;
    CAPTURE(name);
    CHECK(bytes_of(import(config)) == kValues * bytes);
  }
}
