// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/moe_model.hpp"

#include "tests/support/catch.hpp"

namespace {

using moeshift::BytesPerSecond;
using moeshift::Cluster;
using moeshift::LinkParameters;
using moeshift::MoeModel;
using moeshift::Seconds;

std::vector<std::filesystem::path> files_of(const std::string& kind) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(moeshift::test::source_path("configs/" + kind))) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

nlohmann::ordered_json parse(const std::filesystem::path& path) {
  std::ifstream in(path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return moeshift::parse_json(text, path.filename().string());
}

std::map<std::string, MoeModel> shipped_models() {
  std::map<std::string, MoeModel> models;
  for (const auto& path : files_of("models")) {
    const auto json = parse(path);
    models.emplace(path.stem().string(),
                   moeshift::read_moe_model({json, path.filename().string()}));
  }
  return models;
}

std::map<std::string, Cluster> shipped_clusters() {
  std::map<std::string, Cluster> clusters;
  for (const auto& path : files_of("clusters")) {
    const auto json = parse(path);
    clusters.emplace(path.stem().string(),
                     moeshift::read_cluster({json, path.filename().string()}));
  }
  return clusters;
}

}  // namespace

TEST_CASE("Every shipped model loads under its file name and says where its figures come from") {
  const auto models = shipped_models();
  CHECK(models.size() >= 29);
  for (const auto& [stem, model] : models) {
    CAPTURE(stem);
    CHECK(model.name == stem);
    CHECK_FALSE(model.description.empty());
    CHECK(model.source.find("config.json of ") != std::string::npos);
  }
}

TEST_CASE("Every shipped cluster loads under its file name and says where its figures come from") {
  const auto clusters = shipped_clusters();
  for (const char* name :
       {"hgx_a100", "hgx_h100", "hgx_h200", "hgx_h200_measured", "hgx_h200_measured_nccl",
        "hgx_b200", "gb200_nvl72", "l40s_pcie", "one_h200", "host", "hgx_h20", "gb300_nvl72",
        "mi300x", "mi355x", "ascend_a2", "ascend_a3"}) {
    CAPTURE(name);
    CHECK(clusters.count(name) == 1);
  }
  for (const auto& [stem, cluster] : clusters) {
    CAPTURE(stem);
    CHECK(cluster.name == stem);
    CHECK_FALSE(cluster.source.empty());
    CHECK_FALSE(cluster.intra_node.source.empty());
    CHECK_FALSE(cluster.inter_node.source.empty());
  }
}

TEST_CASE("Every shipped cluster has serving parameters of its name") {
  const auto serving = files_of("serving");
  for (const auto& [stem, cluster] : shipped_clusters()) {
    CAPTURE(stem);
    CHECK(std::any_of(serving.begin(), serving.end(),
                      [&](const auto& path) { return path.stem().string() == stem; }));
  }
}

TEST_CASE("A shipped link never lets a lone pair exceed its ports") {
  const auto sound = [](const Cluster& cluster, const LinkParameters& link) {
    CHECK(link.pair <= link.egress);
    CHECK(link.pair <= link.ingress);
    // Measured figures have the latency in the launch.
    CHECK(link.latency + cluster.fixed.launch >= link.per_message);
  };
  for (const auto& [stem, cluster] : shipped_clusters()) {
    // Fitted terms stand for whole rearrangements: a pair above its ports is never what bounds one.
    if (stem.find("_measured") != std::string::npos) continue;
    CAPTURE(stem);
    sound(cluster, cluster.intra_node);
    sound(cluster, cluster.inter_node);
    if (cluster.inter_rack) sound(cluster, *cluster.inter_rack);
  }
}

TEST_CASE("The bytes of a shipped expert are those of its checkpoint with its scales") {
  const std::map<std::string, std::int64_t> expected = {
      // 3 x 2048 x 7168 bytes of e4m3 and 3 x 16 x 56 fp32 scales
      {"deepseek_v3_fp8", 3 * 2048 * 7168 + 3 * 16 * 56 * 4},
      {"deepseek_v3_bf16", 3 * 2048 * 7168 * 2},
      // half a byte per weight and a byte per 16 weights and two fp32 per tensor
      {"deepseek_r1_nvfp4", 3 * (2048 * 7168 / 2 + 2048 * 7168 / 16 + 8)},
      {"kimi_k2_fp8", 3 * 2048 * 7168 + 3 * 16 * 56 * 4},
      {"qwen3_235b_fp8", 3 * 1536 * 4096 + 3 * 12 * 32 * 4},
      {"qwen3_30b_a3b_bf16", 3 * 768 * 2048 * 2},
      // half a byte per weight and a byte per 32 weights and bf16 biases
      {"gpt_oss_120b_mxfp4", 3 * (2880 * 2880 / 2 + 2880 * 90) + (5760 + 2880) * 2},
      {"gpt_oss_20b_mxfp4", 3 * (2880 * 2880 / 2 + 2880 * 90) + (5760 + 2880) * 2},
      {"mixtral_8x7b_bf16", 3LL * 14336 * 4096 * 2},
      {"deepseek_v2_lite_bf16", 3 * 1408 * 2048 * 2},
      {"olmoe_1b_7b_bf16", 3 * 1024 * 2048 * 2},
      {"deepseek_v3_2_fp8", 3 * 2048 * 7168 + 3 * 16 * 56 * 4},
      // half a byte per weight and a byte per 32 weights
      {"deepseek_v4_flash_fp4", 3 * (2048 * 4096 / 2 + 2048 * 4096 / 32)},
      {"deepseek_v4_pro_fp4", 3 * (3072 * 7168 / 2 + 3072 * 7168 / 32)},
      {"deepseek_v2_bf16", 3 * 1536 * 5120 * 2},
      // a byte per weight and one fp32 per output channel
      {"glm_4_5_fp8", 3 * 1536 * 5120 + (2 * 1536 + 5120) * 4},
      {"glm_4_5_air_fp8", 3 * 1408 * 4096 + (2 * 1408 + 4096) * 4},
      {"glm_5_fp8", 3 * 2048 * 6144 + 3 * 16 * 48 * 4},
      // half a byte per weight and a bf16 per 32 weights
      {"kimi_k2_int4", 3 * (2048 * 7168 / 2 + 2048 * 7168 / 32 * 2)},
      {"qwen3_next_80b_a3b_bf16", 3 * 512 * 2048 * 2},
      {"qwen3_5_397b_a17b_bf16", 3 * 1024 * 4096 * 2},
      {"qwen3_5_35b_a3b_bf16", 3 * 512 * 2048 * 2},
      {"llama_4_maverick_bf16", 3 * 8192 * 5120 * 2},
      {"llama_4_scout_bf16", 3 * 8192 * 5120 * 2},
      {"minimax_m2_fp8", 3 * 1536 * 3072 + 3 * 12 * 24 * 4},
      // no gate
      {"nemotron_3_nano_bf16", 2 * 1856 * 2688 * 2},
      {"ernie_4_5_300b_bf16", 3 * 3584 * 8192 * 2},
      {"ernie_4_5_21b_bf16", 3 * 1536 * 2560 * 2},
      {"mimo_v2_flash_fp8", 3 * 2048 * 4096 + 3 * 16 * 32 * 4}};
  const auto models = shipped_models();
  REQUIRE(models.size() == expected.size());
  for (const auto& [name, bytes] : expected) {
    CAPTURE(name);
    REQUIRE(models.count(name) == 1);
    CHECK(models.at(name).expert_bytes().count() == bytes);
  }
}

TEST_CASE("All experts of a shipped model together weigh what its checkpoint is known to weigh") {
  const auto total = [](const MoeModel& model) {
    return static_cast<double>(model.expert_bytes().count()) *
           static_cast<double>(model.num_layers * model.num_experts) / 1e9;
  };
  const auto models = shipped_models();
  CHECK(total(models.at("deepseek_v3_fp8")) == Approx(654).epsilon(0.002));
  CHECK(total(models.at("deepseek_v3_bf16")) == Approx(1308).epsilon(0.002));
  CHECK(total(models.at("deepseek_r1_nvfp4")) == Approx(368).epsilon(0.002));
  CHECK(total(models.at("kimi_k2_fp8")) == Approx(1015).epsilon(0.002));
  CHECK(total(models.at("qwen3_235b_fp8")) == Approx(227).epsilon(0.002));
  CHECK(total(models.at("qwen3_30b_a3b_bf16")) == Approx(58).epsilon(0.002));
  CHECK(total(models.at("deepseek_v2_lite_bf16")) == Approx(28.8).epsilon(0.002));
}

TEST_CASE("Shipped models know their dense layers and their routing groups") {
  const auto models = shipped_models();
  CHECK(models.at("deepseek_v3_fp8").layer_ids.front() == 3);
  CHECK(models.at("deepseek_v3_fp8").layer_ids.back() == 60);
  CHECK(models.at("deepseek_v3_fp8").num_expert_groups == 8);
  CHECK(models.at("kimi_k2_fp8").layer_ids.front() == 1);
  CHECK(models.at("kimi_k2_fp8").num_expert_groups == 1);
  CHECK(models.at("gpt_oss_120b_mxfp4").top_k == 4);
  CHECK(models.at("llama_4_maverick_bf16").layer_ids.front() == 1);
  CHECK(models.at("llama_4_maverick_bf16").num_layers == 24);
  CHECK(models.at("nemotron_3_nano_bf16").num_layers == 23);
  for (const auto& [stem, model] : models) {
    CAPTURE(stem);
    REQUIRE(model.num_hidden_layers);
    CHECK(model.layer_ids.back() < static_cast<std::int64_t>(*model.num_hidden_layers));
    for (const std::int64_t draft : model.mtp_layer_ids) {
      CHECK(draft >= static_cast<std::int64_t>(*model.num_hidden_layers));
    }
  }
}

TEST_CASE("The 72 ranks of an NVL72 are one rack of 18 nodes and a 73rd rank opens another") {
  const auto clusters = shipped_clusters();
  const Cluster& nvl72 = clusters.at("gb200_nvl72");
  const moeshift::Topology one = nvl72.topology(72);
  CHECK(one.nodes() == 18);
  CHECK(one.racks() == 1);
  CHECK(nvl72.topology(144).racks() == 2);
  CHECK(nvl72.link(moeshift::LinkClass::kInterRack).egress < nvl72.inter_node.egress);
}
