// SPDX-License-Identifier: Apache-2.0
// Rounds of messages of different sizes: never two of a port, and how close to the port bound.
#include <algorithm>
#include <set>
#include <utility>

#include "moeshift/core/rng.hpp"
#include "moeshift/schedule/weighted_rounds.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

struct Messages {
  std::vector<PortPair> edges;
  std::vector<std::int64_t> weights;
  std::uint32_t ports = 0;
};

/// Every port sends and receives about as much, as routes leave it; sizes are a few, or any.
Messages random_messages(Rng& rng, bool few_sizes) {
  Messages messages;
  messages.ports = 2 + rng.below(23);
  const std::uint32_t edges = 1 + rng.below(messages.ports * 8);
  for (std::uint32_t i = 0; i < edges; ++i) {
    messages.edges.push_back({rng.below(messages.ports), rng.below(messages.ports)});
    const std::int64_t size = few_sizes ? std::int64_t{8} << rng.below(2) : 1 + rng.below(1000);
    messages.weights.push_back(size);
  }
  return messages;
}

void require_matchings(const Messages& messages, const std::vector<std::uint32_t>& rounds) {
  std::set<std::pair<std::uint32_t, std::uint32_t>> sends;
  std::set<std::pair<std::uint32_t, std::uint32_t>> receives;
  REQUIRE(rounds.size() == messages.edges.size());
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    REQUIRE(sends.emplace(rounds[i], messages.edges[i].sender).second);
    REQUIRE(receives.emplace(rounds[i], messages.edges[i].receiver).second);
  }
}

struct Closeness {
  double sum = 0;
  double plain = 0;  ///< rounds of the edge colouring as they come
  std::size_t exact = 0;
  std::size_t cases = 0;
};

Closeness closeness(bool few_sizes) {
  Closeness found;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(few_sizes ? 31 : 32, seed);
    const Messages messages = random_messages(rng, few_sizes);
    const auto rounds =
        color_weighted_edges(messages.edges, messages.weights, messages.ports, messages.ports);
    require_matchings(messages, rounds);
    const std::int64_t bound =
        weighted_degree(messages.edges, messages.weights, messages.ports, messages.ports);
    const std::int64_t length = length_of_rounds(rounds, messages.weights);
    REQUIRE(length >= bound);
    REQUIRE(length < 2 * bound);
    const double ratio = static_cast<double>(length) / static_cast<double>(bound);
    const auto plain = color_edges(messages.edges, messages.ports, messages.ports);
    found.plain +=
        static_cast<double>(length_of_rounds(plain, messages.weights)) / static_cast<double>(bound);
    found.sum += ratio;
    found.exact += length == bound ? 1U : 0U;
    ++found.cases;
  }
  return found;
}

}  // namespace

TEST_CASE("equal sizes need as many rounds as the busiest port has messages") {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(30, seed);
    Messages messages = random_messages(rng, true);
    std::fill(messages.weights.begin(), messages.weights.end(), 7);
    const auto rounds =
        color_weighted_edges(messages.edges, messages.weights, messages.ports, messages.ports);
    REQUIRE(rounds == color_edges(messages.edges, messages.ports, messages.ports));
    REQUIRE(
        length_of_rounds(rounds, messages.weights) ==
        7 * static_cast<std::int64_t>(max_degree(messages.edges, messages.ports, messages.ports)));
  }
}

TEST_CASE(
    "rounds of two sizes reach the port bound more often than not, and 6 % above on average") {
  const Closeness found = closeness(true);
  const auto cases = static_cast<double>(found.cases);
  REQUIRE(found.sum < 1.06 * cases);
  REQUIRE(found.plain > 1.15 * cases);
  REQUIRE(2 * found.exact > found.cases);
}

TEST_CASE("rounds of any sizes take 10 % more than the port bound, unweighted ones 35 %") {
  const Closeness found = closeness(false);
  const auto cases = static_cast<double>(found.cases);
  REQUIRE(found.sum < 1.10 * cases);
  REQUIRE(found.plain > 1.35 * cases);
}
