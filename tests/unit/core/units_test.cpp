// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/units.hpp"

#include "moeshift/core/ids.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift::literals;

static_assert(64_MiB / 450.0_GBps < 150.0_us);
static_assert(sizeof(moeshift::RankId) == 4);

TEST_CASE("Bytes over a rate are seconds and bytes over seconds are a rate") {
  CHECK((1000_B / 2.0_GBps).count() == Approx(5e-7));
  CHECK((1_GiB / 0.5_s).count() == Approx(2147483648.0));
}

TEST_CASE("The id that names nothing is no index") {
  CHECK(moeshift::ExpertId::none().is_none());
  CHECK_FALSE(moeshift::ExpertId(0).is_none());
}
