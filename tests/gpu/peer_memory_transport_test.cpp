// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "moeshift/core/error.hpp"

#include "gpu_support.hpp"

namespace moeshift {
namespace {

constexpr Bytes kSlot(std::int64_t{256} << 10U);

/// Several exchanges under way at once; what arrived is verified on the device.
void all_to_all(const char* backend, const WorldRequest& options, std::size_t rounds) {
  const std::unique_ptr<World> world = find_backend(backend).open(options);
  REQUIRE(test::wrong_slots_of_all_to_all(*world, kSlot, rounds) == 0);
}

constexpr std::array kBackends = {"ce", "peer"};

TEST_CASE("ranks on one GPU exchange every byte straight between their memories", "[gpu]") {
  test::require_gpu();
  for (const char* backend : kBackends) all_to_all(backend, test::ranks(4), 3);
}

TEST_CASE("a transport names the settings that it does not know", "[ce]") {
  for (const char* backend : kBackends) {
    WorldRequest options = test::ranks(2);
    options.settings = {{"rank-per-gpu", "2"}};
    REQUIRE_THROWS_AS(find_backend(backend).open(options), InputError);
    options.settings = {{"ranks-per-gpu", "-1"}};
    REQUIRE_THROWS_AS(find_backend(backend).open(options), InputError);
  }
}

}  // namespace
}  // namespace moeshift
