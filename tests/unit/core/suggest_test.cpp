// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/suggest.hpp"

#include <array>

#include "tests/support/catch.hpp"

TEST_CASE("A mistyped name finds its neighbour and nonsense finds nothing") {
  static constexpr std::array<std::string_view, 3> kKnown = {"plan", "moves", "execute"};
  CHECK(moeshift::did_you_mean("plna", kKnown) == "; did you mean 'plan'?");
  CHECK(moeshift::did_you_mean("excute", kKnown) == "; did you mean 'execute'?");
  CHECK(moeshift::did_you_mean("zzzzzz", kKnown).empty());
}

TEST_CASE("The beginning of a long name finds it, two letters find nothing") {
  static constexpr std::array<std::string_view, 2> kKnown = {"gpt_oss_20b_mxfp4", "kimi_k2_fp8"};
  CHECK(moeshift::did_you_mean("kimi", kKnown) == "; did you mean 'kimi_k2_fp8'?");
  CHECK(moeshift::did_you_mean("ki", kKnown).empty());
}

TEST_CASE("a part of a name and another way of writing it are understood") {
  constexpr std::array<std::string_view, 5> kNames = {"deepseek_v3_2_fp8", "l40s_pcie", "hgx_h200",
                                                      "deepseek_v2_lite_bf16", "deepseek_v3_fp8"};
  CHECK(moeshift::did_you_mean("h200", kNames) == "; did you mean 'hgx_h200'?");
  CHECK(moeshift::did_you_mean("DeepSeek-V3", kNames) == "; did you mean 'deepseek_v3_fp8'?");
  CHECK(moeshift::did_you_mean("deepseekv3", kNames) == "; did you mean 'deepseek_v3_fp8'?");
  CHECK(moeshift::did_you_mean("v2_lite", kNames) == "; did you mean 'deepseek_v2_lite_bf16'?");
  CHECK(moeshift::did_you_mean("_-", kNames).empty());
}
