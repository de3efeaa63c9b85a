// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/cost/serving_parameters.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

namespace fs = std::filesystem;

nlohmann::ordered_json parse_file(const fs::path& path) {
  std::ifstream in(path);
  REQUIRE(in.is_open());
  const std::string text(std::istreambuf_iterator<char>(in), {});
  return parse_json(text, path.string());
}

}  // namespace

TEST_CASE("every shipped machine can serve every shipped model") {
  for (const auto& cluster : fs::directory_iterator(test::source_path("configs/clusters"))) {
    const fs::path path = test::source_path("configs/serving") / cluster.path().filename();
    INFO(path.string());
    const nlohmann::ordered_json document = parse_file(path);
    const ServingMachine machine = read_serving_machine(JsonReader(document, path.string()));
    REQUIRE(machine.name == path.stem().string());
    for (const auto& model : fs::directory_iterator(test::source_path("configs/models"))) {
      INFO(model.path().string());
      const nlohmann::ordered_json text = parse_file(model.path());
      const ServingParameters parameters =
          serving_parameters(machine, read_moe_model(JsonReader(text, model.path().string())));
      REQUIRE(parameters.expert_per_token > Seconds());
      REQUIRE(parameters.expert_floor > Seconds());
    }
  }
}
