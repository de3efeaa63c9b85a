// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/shipped.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"

namespace moeshift {
namespace {

TEST_CASE("the library has every configuration that ships, letter by letter") {
  std::size_t files = 0;
  for (const std::string kind : {"clusters", "models", "serving"}) {
    std::size_t of_kind = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(test::source_path("configs/" + kind))) {
      if (entry.path().extension() != ".json") continue;
      ++of_kind;
      std::ifstream file(entry.path());
      const std::string text{std::istreambuf_iterator<char>(file),
                             std::istreambuf_iterator<char>()};
      INFO(entry.path());
      REQUIRE(shipped_text(kind, entry.path().stem().string()));
      CHECK(*shipped_text(kind, entry.path().stem().string()) == text);
    }
    CHECK(shipped_names(kind).size() == of_kind);
    files += of_kind;
  }
  CHECK(files > 40);
}

TEST_CASE("machines and models are loaded by name, by path, or not at all") {
  CHECK(load_cluster("hgx_h200").ranks_per_node == 8);
  CHECK(load_model("deepseek_v3_fp8").num_experts == 256);
  CHECK(load_model(test::source_path("configs/models/deepseek_v3_fp8.json").string()).num_layers ==
        58);
  CHECK_THROWS_WITH(load_cluster("hgx_h2000"), test::containing("hgx_h200"));
  CHECK_THROWS_AS(load_model("no/such/file.json"), InputError);
}

}  // namespace
}  // namespace moeshift
