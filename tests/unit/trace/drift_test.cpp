// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/drift.hpp"

#include <algorithm>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/trace/phase.hpp"
#include "moeshift/trace/sampling.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

constexpr std::size_t kExperts = 32;

/// Shares that fall from expert `hot` on, around the circle.
std::vector<double> shares_from(std::size_t hot) {
  std::vector<double> shares(kExperts);
  double sum = 0;
  for (std::size_t e = 0; e < kExperts; ++e) {
    shares[(hot + e) % kExperts] = 1.0 / static_cast<double>(e + 2);
    sum += 1.0 / static_cast<double>(e + 2);
  }
  for (double& share : shares) share /= sum;
  return shares;
}

LoadMatrix sampled(Rng& rng, const std::vector<double>& shares, std::int64_t draws) {
  std::vector<std::int64_t> counts(kExperts);
  sample_multinomial(rng, draws, shares, counts);
  LoadMatrix load(1, kExperts);
  std::copy(counts.begin(), counts.end(), load.row(LayerId(0)).begin());
  return load;
}

}  // namespace

TEST_CASE(
    "loads that only sampling tells apart have dispersion 1 and no more variation than that") {
  Rng rng(1);
  DriftObserver observer(1, kExperts);
  for (int step = 0; step < 200; ++step) observer.add(sampled(rng, shares_from(0), 4000));
  const TrafficDrift drift = observer.finish();
  CHECK(drift.dispersion[0] == Approx(1).margin(0.06));
  CHECK(drift.step_dispersion[0] == Approx(1).margin(0.06));
  REQUIRE(drift.lags.size() == 7);
  for (const LagDrift& lag : drift.lags) {
    CHECK(lag.variation == Approx(lag.sampling_variation).epsilon(0.06));
  }
  CHECK(drift.abrupt_steps.empty());
}

TEST_CASE("a change of domain stands out at its step and shows at every lag that spans it") {
  Rng rng(2);
  DriftObserver observer(1, kExperts);
  for (int step = 0; step < 40; ++step) {
    observer.add(sampled(rng, shares_from(step < 20 ? 0 : 16), 4000));
  }
  const TrafficDrift drift = observer.finish();
  CHECK(drift.abrupt_steps == std::vector<std::size_t>{20});
  CHECK(drift.dispersion[0] > 20 * drift.step_dispersion[0] / 10);
  CHECK(drift.lags.back().hot_overlap < drift.lags.front().hot_overlap);
  CHECK(drift.lags.back().variation > 3 * drift.lags.back().sampling_variation);
}

TEST_CASE("lags longer than half of the trace are left out, as are those of one step") {
  Rng rng(3);
  DriftObserver observer(1, kExperts);
  observer.add(sampled(rng, shares_from(0), 100));
  CHECK(observer.finish().lags.empty());
  for (int step = 0; step < 8; ++step) observer.add(sampled(rng, shares_from(0), 100));
  std::vector<std::size_t> lags;
  for (const LagDrift& lag : observer.finish().lags) lags.push_back(lag.lag);
  CHECK(lags == std::vector<std::size_t>{1, 2, 4});
}

TEST_CASE("layers and steps without load are passed over") {
  DriftObserver observer(1, kExperts);
  for (int step = 0; step < 3; ++step) observer.add(LoadMatrix(1, kExperts));
  const TrafficDrift drift = observer.finish();
  CHECK(drift.dispersion[0] == 0);
  CHECK(drift.lags.front().variation == 0);
}

TEST_CASE("a phase that the recording states is believed, another one is guessed with reasons") {
  TraceHeader header;
  header.other_json = R"({"phase": "Decode"})";
  CHECK(guess_phase(header, 1e6, {}).phase == TrafficPhase::kDecode);
  CHECK(guess_phase(header, 1e6, {}).stated);
  header.other_json = "{}";
  const PhaseGuess many = guess_phase(header, 1e6, {});
  CHECK(many.phase == TrafficPhase::kPrefill);
  CHECK_FALSE(many.stated);
  CHECK_FALSE(many.evidence.empty());
  CHECK(guess_phase(header, 200, {}).phase == TrafficPhase::kDecode);
  CHECK(guess_phase(header, 2000, {}).phase == TrafficPhase::kUnknown);
}
