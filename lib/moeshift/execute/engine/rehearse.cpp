// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/rehearse.hpp"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/engine/waiter.hpp"

namespace moeshift {
namespace {

std::vector<Seconds> numbers_in(const std::string& text) {
  std::vector<Seconds> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    double value = 0;
    at = std::from_chars(at, end, value).ptr + 1;
    numbers.emplace_back(value);
  }
  return numbers;
}

}  // namespace

RehearsedTimes rehearse(Member& member, const Rehearsal& rehearsal) {
  const RankOutcome outcome = run_rank(member, rehearsal.job, rehearsal.options);
  if (outcome.infeasible) throw InfeasibleError(outcome.failure->message());
  if (outcome.failure) throw ShuffleFailure(*outcome.failure);
  RehearsedTimes times{outcome.totals, outcome.undisturbed, outcome.faults.empty()};
  std::string mine = times.verified ? "0" : "1";
  for (const Seconds total : outcome.totals) mine += fmt::format(" {}", total.count());
  const auto gathering = member.control->all_gather(mine);
  Waiter(member, rehearsal.options.interrupted)
      .until([&] { return gathering->poll(); }, {.wanted = "times"},
             Deadline::in(rehearsal.options.timeout), [] { return std::vector<RankId>(); });
  for (const std::string& text : gathering->values()) {
    const std::vector<Seconds> said = numbers_in(text);
    times.verified &= said.front() == Seconds(0.0);
    for (std::size_t i = 0; i < times.totals.size(); ++i) {
      times.totals[i] = std::max(times.totals[i], said.at(i + 1));
    }
  }
  return times;
}

}  // namespace moeshift
