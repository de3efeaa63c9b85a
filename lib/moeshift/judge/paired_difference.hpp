// SPDX-License-Identifier: Apache-2.0
// Is one of two better, or is that chance? Paired series and their mean difference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moeshift {

enum class IntervalMethod : std::uint8_t {
  kNone,       ///< fewer than two pairs: nothing can be said
  kStudent,    ///< too few pairs to resample; takes them as independent
  kBootstrap,  ///< moving blocks, which keep what neighbours have in common
};

/// "none", "student", "bootstrap".
[[nodiscard]] std::string_view name_of(IntervalMethod method);

struct DifferenceOptions {
  double level = 0.95;  ///< of the interval, in (0, 1)
  std::uint64_t seed = 0;
  std::size_t resamples = 2000;
};

/// Pairs from which on a verdict can be firm.
inline constexpr std::size_t kFewestPairs = 6;

/// Mean of a - b with its confidence interval.
struct PairedDifference {
  double mean = 0;
  double low = 0;  ///< low <= mean <= high; all equal when there is no interval
  double high = 0;
  std::size_t pairs = 0;
  std::size_t block = 0;  ///< pairs that are resampled together; 1 = none belong together
  IntervalMethod method = IntervalMethod::kNone;

  /// There are pairs enough for a verdict: an interval of fewer rests on assumptions alone.
  [[nodiscard]] bool enough() const;
  /// The interval leaves out 0. Of fewer than kFewestPairs that rests on the normal law alone.
  [[nodiscard]] bool certain() const {
    return method != IntervalMethod::kNone && (low > 0 || high < 0);
  }
};

inline bool PairedDifference::enough() const {
  return method != IntervalMethod::kNone && pairs >= kFewestPairs;
}

/// Mean of a - b over windows that both saw, in the order of time.
///
/// From kFewPairs on: moving-block bootstrap (Kuensch 1989) of the mean; block length after
/// Politis and White 2004 (with the correction of 2009), between the cube root and a quarter of
/// the series. Its
/// percentiles are widened by t(k - 1) / z * sqrt(k / (k - 1)) for k = pairs / block whole blocks,
/// without which few blocks give too narrow an interval. Below: Student.
/// Equal inputs give equal intervals. O(resamples * pairs).
/// @param a, b equally long.
[[nodiscard]] PairedDifference paired_difference(std::span<const double> a,
                                                 std::span<const double> b,
                                                 const DifferenceOptions& options = {});

/// "12.3 % (95 % interval 11.0 to 13.5 %)": as shares of `whole`.
[[nodiscard]] std::string share_text(const PairedDifference& difference, double whole);

inline constexpr std::size_t kFewPairs = 12;

/// Block length for the mean of a stationary series; 1 for one that never changes or is shorter
/// than 8.
[[nodiscard]] std::size_t block_length(std::span<const double> series);

/// t with P(|T| < t) = level for Student's T with `freedom` >= 1 degrees of freedom.
[[nodiscard]] double student_quantile(double level, std::size_t freedom);

}  // namespace moeshift
