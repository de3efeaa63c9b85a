// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/suggest.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// Levenshtein distance, a swap of neighbours counting as one (optimal string alignment).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  std::iota(cost[0].begin(), cost[0].end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, substitution});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

/// Letters and digits only, small: "DeepSeek-V3" and "deepseek_v3" are one name.
std::string bare(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') {
      letters += static_cast<char>(c - 'A' + 'a');
    } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      letters += c;
    }
  }
  return letters;
}

/// The shortest name that begins with what was typed, else the shortest that has it in it; none for
/// less than three letters, which say nothing.
std::string_view containing(std::string_view typed, std::span<const std::string_view> known) {
  constexpr std::size_t kTelling = 3;
  const std::string wanted = bare(typed);
  if (wanted.size() < kTelling) return {};
  std::string_view inside;
  bool begins = false;
  for (const std::string_view name : known) {
    const std::size_t at = bare(name).find(wanted);
    if (at == std::string::npos) continue;
    const bool better = at == 0 && !begins;
    if (better || inside.empty() || ((at == 0) == begins && name.size() < inside.size())) {
      inside = name;
      begins = begins || at == 0;
    }
  }
  return inside;
}

}  // namespace

std::string did_you_mean(std::string_view typed, std::span<const std::string_view> known) {
  // "h200" means hgx_h200, however few letters "l20" may be away.
  std::string_view best = containing(typed, known);
  if (!best.empty()) return "; did you mean '" + std::string(best) + "'?";
  std::size_t best_distance = std::max<std::size_t>(1, typed.size() / 3) + 1;
  for (const std::string_view name : known) {
    const std::size_t d = distance(typed, name);
    if (d >= best_distance) continue;
    best = name;
    best_distance = d;
  }
  return best.empty() ? "" : "; did you mean '" + std::string(best) + "'?";
}

void refuse_name(std::string_view what, std::string_view typed,
                 std::span<const std::string_view> known) {
  std::string names;
  for (const std::string_view name : known) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  throw InputError("", "unknown " + std::string(what) + " '" + std::string(typed) + "'" +
                           did_you_mean(typed, known) + "; expected one of " + names);
}

std::size_t index_of_name(std::string_view what, std::string_view name,
                          std::span<const std::string_view> known) {
  const auto found = std::find(known.begin(), known.end(), name);
  if (found == known.end()) refuse_name(what, name, known);
  return static_cast<std::size_t>(found - known.begin());
}

}  // namespace moeshift
