// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/finding.hpp"

#include <algorithm>
#include <utility>

namespace moeshift {

std::string_view name_of(FindingKind kind) {
  static constexpr std::array<std::string_view, kFindingKinds> kNames = {
      "bad_place",      "unmatched",        "size_mismatch", "too_many_messages", "calls_differ",
      "never_recorded", "deadlock",         "side_by_side",  "overwritten",       "half_written",
      "written_twice",  "live_before_vote", "wrong_result",  "too_much_memory"};
  return kNames[static_cast<std::size_t>(kind)];
}

bool FindingLog::count(FindingKind kind, std::size_t calls_before) {
  ++counts_[static_cast<std::size_t>(kind)];
  const auto& kept = kept_[static_cast<std::size_t>(kind)];
  return kept.size() < kKept || calls_before < kept.back().calls_before;
}

void FindingLog::keep(Finding finding) {
  auto& kept = kept_[static_cast<std::size_t>(finding.kind)];
  const auto after = std::upper_bound(
      kept.begin(), kept.end(), finding,
      [](const Finding& a, const Finding& b) { return a.calls_before < b.calls_before; });
  kept.insert(after, std::move(finding));
  if (kept.size() > kKept) kept.pop_back();
}

bool FindingLog::empty() const {
  return std::all_of(counts_.begin(), counts_.end(), [](std::size_t n) { return n == 0; });
}

std::vector<Finding> FindingLog::findings() const {
  std::vector<Finding> all;
  for (const auto& kept : kept_) all.insert(all.end(), kept.begin(), kept.end());
  return all;
}

}  // namespace moeshift
