// SPDX-License-Identifier: Apache-2.0
#include "moeshift/forecast/persistence.hpp"

#include <cmath>
#include <initializer_list>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/forecast/forecaster.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

/// Two experts that share 100 tokens.
LoadMatrix shared(double tokens, double all = 100) {
  LoadMatrix load(1, 2);
  load.items()[0] = tokens;
  load.items()[1] = all - tokens;
  return load;
}

std::vector<LoadMatrix> windows_of(std::initializer_list<double> tokens) {
  std::vector<LoadMatrix> windows;
  for (const double of_first : tokens) windows.push_back(shared(of_first));
  return windows;
}

double first(const LoadMatrix& load) {
  return load.items()[0];
}

}  // namespace

TEST_CASE("noise around one law is read as the mean of all windows") {
  const WindowReading reading = read_windows(windows_of({60, 40, 60, 40, 60, 40, 60, 40}));
  REQUIRE(reading.newest == 0);
  REQUIRE(first(reading.level) == Approx(50));
}

TEST_CASE("a change that stays is read as the newest window") {
  const WindowReading reading =
      read_windows(windows_of({90, 90, 90, 90, 10, 10, 10, 10, 80, 80, 80}));
  REQUIRE(reading.newest == 1);
  REQUIRE(first(reading.level) == Approx(80));
}

TEST_CASE("load that wanders is read as an average that forgets") {
  Rng rng(3);
  std::vector<LoadMatrix> windows;
  LoadMatrix level(4, 32, 1000);
  for (int t = 0; t < 16; ++t) {
    for (double& tokens : level.items()) tokens *= std::exp(0.1 * rng.normal());
    windows.push_back(level);
    for (double& tokens : windows.back().items()) tokens *= std::exp(0.1 * rng.normal());
  }
  const WindowReading reading = read_windows(windows);
  REQUIRE(reading.newest > 0);
  REQUIRE(reading.newest < 1);
}

TEST_CASE("scenarios around a mean are the windows, as shares") {
  const std::vector<LoadMatrix> windows = windows_of({60, 40, 60, 40, 60, 40, 60, 40});
  const WindowReading reading = read_windows(windows);
  REQUIRE(reading.newest == 0);
  for (std::size_t t = 0; t < windows.size(); ++t) {
    CHECK(first(reading.scenarios[t]) == Approx(first(windows[t])));
  }
}

TEST_CASE("scenarios around a level that forgets are what windows were over what was expected") {
  const WindowReading reading = read_windows(windows_of({10, 13, 17, 22, 29, 37, 48, 62}));
  REQUIRE(reading.newest == 1);
  double mean = 0;
  for (const LoadMatrix& scenario : reading.scenarios) mean += first(scenario) / 8;
  CHECK(mean == Approx(first(reading.level)));
  // The first is expected, each other was 1.3 times the one before it.
  for (std::size_t t = 1; t < 8; ++t) {
    CHECK(first(reading.scenarios[t]) / first(reading.scenarios[0]) == Approx(1.3).epsilon(0.03));
  }
}

TEST_CASE("a change moves the level and is no fluctuation around it") {
  const WindowReading reading = read_windows(windows_of({20, 21, 20, 21, 80, 81, 80, 81}));
  REQUIRE(reading.newest >= 0.5);
  CHECK(first(reading.level) > 75);
  for (const LoadMatrix& scenario : reading.scenarios) {
    CHECK(first(scenario) == Approx(first(reading.level)).epsilon(0.2));
  }
}

TEST_CASE("a window that holds more tokens says no more, and one without tokens says nothing") {
  std::vector<LoadMatrix> windows = windows_of({20, 40});
  windows.push_back(shared(0, 0));
  windows.push_back(shared(30'000, 100'000));
  const WindowReading reading = read_windows(windows);
  const double total = reading.level.items()[0] + reading.level.items()[1];
  REQUIRE(first(reading.level) / total == Approx(0.3));
  REQUIRE(reading.scenarios.size() == 4);
  REQUIRE(first(reading.scenarios[2]) == 0);
}

TEST_CASE("one window is read as it is, and layers without tokens stay without") {
  LoadMatrix load(2, 2);
  load(LayerId(1), ExpertId(0)) = 3;
  load(LayerId(1), ExpertId(1)) = 1;
  const WindowReading reading = read_windows(std::vector<LoadMatrix>{load});
  REQUIRE(reading.level == load);
  REQUIRE(reading.scenarios == std::vector<LoadMatrix>{load});
}

TEST_CASE("the forecaster that is called auto reads its windows the same way") {
  const auto forecaster = make_forecaster("recentred:4x2:auto");
  std::vector<LoadMatrix> windows;
  for (const double tokens : {90, 10, 15, 11, 12}) {
    windows.push_back(shared(tokens));
    forecaster->observe(shared(tokens - 1));
    forecaster->observe(shared(tokens + 1));
  }
  windows.erase(windows.begin());
  const WindowReading reading = read_windows(windows);
  REQUIRE(forecaster->forecast().load == reading.level);
  REQUIRE(forecaster->forecast().samples == reading.scenarios);
}
