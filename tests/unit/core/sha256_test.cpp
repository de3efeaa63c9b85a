// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/sha256.hpp"

#include "tests/support/catch.hpp"

TEST_CASE("SHA-256 of abc is the value of FIPS 180-2") {
  moeshift::Sha256 hash;
  hash.update("a");
  hash.update("bc");
  CHECK(hash.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
