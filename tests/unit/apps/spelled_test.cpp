// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/spelled.hpp"

#include "tests/support/catch.hpp"

namespace moeshift::cli {

TEST_CASE("a setting that the library names is called as on the command line") {
  CHECK(spelled("drop them with `windows`; say `as` loads") ==
        "drop them with --windows; say --as loads");
  CHECK(spelled("`num-hidden-layers`") == "--num-hidden-layers");
}

TEST_CASE("what is no option of any command, and half a mark, stay as they are") {
  for (const char* text : {"", "no mark", "the key `moe_experts`", "a lone ` mark", "``"}) {
    CHECK(spelled(text) == text);
  }
  CHECK(spelled("key `x` of `ranks`, ` and `from`") == "key `x` of --ranks, ` and --from");
}

}  // namespace moeshift::cli
