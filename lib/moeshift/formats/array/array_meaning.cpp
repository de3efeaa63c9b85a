// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/array/array_meaning.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {

bool is_unrouted(std::span<const double> row) {
  const auto all = [&](double value) {
    return std::ranges::all_of(row, [&](double id) { return id == value; });
  };
  return all(0) || all(-1);
}
namespace {

constexpr std::size_t kSample = std::size_t{1} << 17U;
/// Layers of one step differ by the tokens of a pass that a recorder cut in two: far less than
/// this.
constexpr double kEqual = 0.02;
constexpr std::size_t kMostTopK = 32;
constexpr double kMostIds = 4096;
/// Of a token and layer each: fewer say nothing.
constexpr std::size_t kFewestRows = 8;
/// So many equal pairs within rows would be there if the numbers were drawn at random.
constexpr double kSurePairs = 8;

struct Sample {
  std::span<const double> numbers;
  std::size_t length = 1;  ///< of a row

  [[nodiscard]] std::size_t rows() const { return numbers.size() / length; }
  [[nodiscard]] std::span<const double> row(std::size_t i) const {
    return numbers.subspan(i * length, length);
  }
};

double total(std::span<const double> numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), 0.0);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The share of the filled ones among `totals` that agree with their median; 0 where fewer than two
/// are filled.
double agreement(std::vector<double> totals) {
  std::erase_if(totals, [](double sum) { return sum <= 0; });
  if (totals.size() < 2) return 0;
  const double middle = median(totals);
  const auto close = std::ranges::count_if(
      totals, [&](double sum) { return std::abs(sum - middle) <= kEqual * middle; });
  return static_cast<double>(close) / static_cast<double>(totals.size());
}

/// Mean agreement of the totals of `group` consecutive rows each.
double agreement_within(const Sample& sample, std::size_t group) {
  double sum = 0;
  std::size_t groups = 0;
  for (std::size_t first = 0; first + group <= sample.rows(); first += group, ++groups) {
    std::vector<double> totals;
    for (std::size_t i = first; i < first + group; ++i) totals.push_back(total(sample.row(i)));
    sum += agreement(std::move(totals));
  }
  return groups == 0 ? 0 : sum / static_cast<double>(groups);
}

/// Agreement of the totals over groups of rows.
double agreement_across(const Sample& sample, std::size_t group) {
  std::vector<double> totals;
  for (std::size_t first = 0; first + group <= sample.rows(); first += group) {
    totals.push_back(total(sample.numbers.subspan(first * sample.length, group * sample.length)));
  }
  return agreement(std::move(totals));
}

/// Mean agreement of the totals of the columns of `group` consecutive rows each.
double column_agreement(const Sample& sample, std::size_t group) {
  double sum = 0;
  std::size_t groups = 0;
  for (std::size_t first = 0; first + group <= sample.rows(); first += group, ++groups) {
    std::vector<double> totals(sample.length, 0);
    for (std::size_t i = first; i < first + group; ++i) {
      const auto row = sample.row(i);
      for (std::size_t column = 0; column < row.size(); ++column) totals[column] += row[column];
    }
    sum += agreement(std::move(totals));
  }
  return groups == 0 ? 0 : sum / static_cast<double>(groups);
}

/// Pearson's correlation of two rows; nothing where one of them is level.
std::optional<double> correlation(std::span<const double> a, std::span<const double> b) {
  const auto n = static_cast<double>(a.size());
  const double mean_a = total(a) / n;
  const double mean_b = total(b) / n;
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  if (!(aa > 0 && bb > 0)) return {};
  return ab / std::sqrt(aa * bb);
}

/// Mean correlation of rows that lie `distance` apart, of those pairs that `take` takes.
std::optional<double> likeness(const Sample& sample, std::size_t distance,
                               const std::function<bool(std::size_t)>& take) {
  double sum = 0;
  std::size_t pairs = 0;
  for (std::size_t i = 0; i + distance < sample.rows(); ++i) {
    if (!take(i)) continue;
    const auto found = correlation(sample.row(i), sample.row(i + distance));
    if (!found) continue;
    sum += *found;
    ++pairs;
  }
  return pairs < 2 ? std::nullopt : std::optional(sum / static_cast<double>(pairs));
}

/// Whether neighbours in the second dimension are alike, as steps of a layer are, and neighbours in
/// the first are not, as layers.
bool is_layers_first(std::span<const std::size_t> shape, const Sample& sample) {
  constexpr double kAlike = 0.7;
  constexpr double kUnlike = 0.3;
  if (shape.size() != 3 || shape[0] < 2 || shape[1] < 2 || sample.length < 4) return false;
  const std::size_t group = shape[1];
  const auto inner = likeness(sample, 1, [&](std::size_t i) { return (i + 1) % group != 0; });
  const auto outer = likeness(sample, group, [](std::size_t) { return true; });
  return inner && outer && *inner >= kAlike && *outer <= kUnlike;
}

/// Whether sums over the first dimension are equal and those over the last are not, so that experts
/// come first. The sample is the whole array.
bool is_experts_first(std::span<const std::size_t> shape, const Sample& sample) {
  if (shape.size() != 3 || shape[0] < 4 || shape[1] * shape[2] < 2) return false;
  const std::size_t part = shape[1] * shape[2];
  if (sample.numbers.size() != shape[0] * part) return false;
  std::vector<double> sums(part, 0);
  for (std::size_t i = 0; i < sample.numbers.size(); ++i) sums[i % part] += sample.numbers[i];
  std::vector<double> turned(part);
  for (std::size_t i = 0; i < part; ++i) {
    turned[(i % shape[2]) * shape[1] + i / shape[2]] = sums[i];
  }
  const auto equal_within = [](std::span<const double> totals, std::size_t group) {
    double sum = 0;
    for (std::size_t first = 0; first < totals.size(); first += group) {
      const auto some = totals.subspan(first, group);
      sum += agreement({some.begin(), some.end()});
    }
    return sum * static_cast<double>(group) / static_cast<double>(totals.size());
  };
  return equal_within(sums, shape[2]) >= 0.75 || equal_within(turned, shape[1]) >= 0.75;
}

bool distinct(std::span<const double> row) {
  std::vector<double> sorted(row.begin(), row.end());
  std::ranges::sort(sorted);
  return std::ranges::adjacent_find(sorted) == sorted.end();
}

bool all_whole(std::span<const double> numbers) {
  return std::ranges::all_of(numbers, [](double x) { return std::floor(x) == x; });
}

/// Whether the numbers of `row` are 0, 1, ..., m for some m, each at least once.
bool covers(std::span<const double> row) {
  std::vector<double> sorted(row.begin(), row.end());
  std::ranges::sort(sorted);
  double expected = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i > 0 && sorted[i] == sorted[i - 1]) continue;
    if (sorted[i] != expected++) return false;
  }
  return sorted.size() > 1;
}

std::string map_evidence(const Sample& sample) {
  if (std::ranges::any_of(sample.numbers, [](double x) { return x == -1; })) {
    return "it has -1, which no load is";
  }
  for (std::size_t i = 0; i < sample.rows(); ++i) {
    if (!covers(sample.row(i))) return "";
  }
  return "every row has every number from 0 to its largest, as the experts of slots have";
}

std::string routing_evidence(const Sample& sample) {
  if (sample.rows() < kFewestRows) return "";
  const double largest = *std::ranges::max_element(sample.numbers);
  const bool fits = sample.length <= kMostTopK && largest < kMostIds &&
                    largest + 1 >= static_cast<double>(sample.length) && sample.length >= 2;
  if (!fits) return "";
  for (std::size_t i = 0; i < sample.rows(); ++i) {
    if (!distinct(sample.row(i))) return "";
  }
  return fmt::format("no row of {} has a number twice, and none is above {}", sample.length,
                     largest);
}

/// The rows of routes that hold a route, and how many are 0 in layers that have routes: padding.
struct RoutedRows {
  std::vector<double> numbers;
  std::size_t padding = 0;
};

/// @param unrouted layers, ascending.
RoutedRows routed_rows(const Sample& sample, std::span<const std::size_t> shape,
                       const std::vector<std::size_t>& unrouted) {
  RoutedRows routed;
  for (std::size_t i = 0; i < sample.rows(); ++i) {
    if (std::ranges::binary_search(unrouted, i % shape[1])) continue;
    const auto row = sample.row(i);
    if (sample.length > 1 && std::ranges::all_of(row, [](double id) { return id == 0; })) {
      ++routed.padding;
    } else {
      routed.numbers.insert(routed.numbers.end(), row.begin(), row.end());
    }
  }
  return routed;
}

/// Whether it would be strange if loads had no equal pair in any row.
bool surely_routing(const Sample& sample) {
  const double largest = *std::ranges::max_element(sample.numbers);
  const auto k = static_cast<double>(sample.length);
  const double pairs = static_cast<double>(sample.rows()) * k * (k - 1) / 2;
  return pairs / (largest + 1) >= kSurePairs;
}

Sample sample_of(std::span<const std::size_t> shape, std::span<const double> rows) {
  return {rows, std::max<std::size_t>(shape.back(), 1)};
}

std::vector<std::size_t> unrouted_layers(std::span<const std::size_t> shape,
                                         std::span<const double> rows) {
  if (shape.size() != 3 || shape[1] == 0 || shape[2] == 0) return {};
  const Sample sample = sample_of(shape, rows);
  const std::size_t layers = std::min(sample.rows(), shape[1]);
  if (shape[2] == 1 && sample.rows() < kFewestRows * layers) return {};
  std::vector<bool> routed(layers, false);
  for (std::size_t i = 0; i < sample.rows(); ++i) {
    if (!is_unrouted(sample.row(i))) routed[i % shape[1]] = true;
  }
  std::vector<std::size_t> unrouted;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (!routed[layer]) unrouted.push_back(layer);
  }
  return unrouted.size() == layers ? std::vector<std::size_t>{} : unrouted;
}

}  // namespace

std::vector<std::size_t> unrouted_layers(ArrayRows& array) {
  return unrouted_layers(array.shape(), array.sample(kSample));
}

ArrayEvidence evidence_of(std::span<const std::size_t> shape, std::span<const double> rows) {
  ArrayEvidence evidence;
  const Sample sample = sample_of(shape, rows);
  if (sample.rows() == 0) return evidence;
  const bool whole = all_whole(rows);
  if (whole) evidence.map = map_evidence(sample);
  const bool negative = *std::ranges::min_element(rows) < 0;
  if (negative || shape.size() < 2) return evidence;
  const std::size_t group = shape[shape.size() - 2];
  if (agreement_within(sample, group) >= 0.75) {
    evidence.loads = shape.size() == 2 ? "all layers have the same total"
                                       : "the layers of a step have the same total";
  }
  if (shape.size() < 3) return evidence;
  if (whole && shape.size() == 3) {
    const auto unrouted = unrouted_layers(shape, rows);
    const auto routed = routed_rows(sample, shape, unrouted);
    evidence.routing = routing_evidence({routed.numbers, sample.length});
    if (!unrouted.empty() && !evidence.routing.empty()) {
      evidence.routing +=
          fmt::format(", but for layers {}, which are 0 in every token", fmt::join(unrouted, ", "));
    }
    if (routed.padding > 0 && !evidence.routing.empty()) {
      evidence.routing += fmt::format(", but for {} rows of 0, as padding has", routed.padding);
    }
    evidence.surely_routing = !evidence.routing.empty() && routed.padding == 0 &&
                              surely_routing({routed.numbers, sample.length});
  }
  if (shape.size() == 4 || (group > 1 && agreement_across(sample, group) >= 0.75)) {
    evidence.physical =
        shape.size() == 4
            ? "it has four dimensions: steps, layers, ranks, slots of a rank"
            : fmt::format("only the totals over the {} rows of a layer are the same", group);
  }
  return evidence;
}

namespace {

/// "; loads: ...; routing: ..."
std::string reasons(const ArrayEvidence& evidence) {
  std::string text;
  for (const auto& [name, why] :
       {std::pair{"loads", &evidence.loads}, std::pair{"physical", &evidence.physical},
        std::pair{"routing", &evidence.routing}, std::pair{"map", &evidence.map}}) {
    if (!why->empty()) text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", name, *why);
  }
  return text;
}

[[noreturn]] void ask(const ArrayRows& array, const std::string& is, const std::string& why) {
  throw InputError(array.place(), fmt::format("this array of shape ({}) {}. {}",
                                              fmt::join(array.shape(), ", "), is, why));
}

/// [tokens, layers, 1]: a layer with one expert has no loads worth a file.
bool is_top_1(std::span<const std::size_t> shape, std::span<const double> rows) {
  return shape.size() == 3 && shape.back() == 1 && rows.size() >= kFewestRows && all_whole(rows) &&
         *std::ranges::min_element(rows) >= 0 && *std::ranges::max_element(rows) < kMostIds;
}

}  // namespace

bool is_transposed(std::span<const std::size_t> shape, std::span<const double> rows) {
  const Sample sample = sample_of(shape, rows);
  if (shape.size() < 2 || shape.size() > 3 || sample.length < 2) return false;
  const std::size_t group = shape[shape.size() - 2];
  return group > 1 && *std::ranges::min_element(rows) >= 0 &&
         column_agreement(sample, group) >= 0.75;
}

ArrayMeaning meaning_of(ArrayRows& array, ArrayMeaning asked) {
  if (asked != ArrayMeaning::kTold) return asked;
  const std::vector<double> rows = array.sample(kSample);
  const ArrayEvidence found = evidence_of(array.shape(), rows);
  if (rows.empty()) return ArrayMeaning::kLoads;
  if (is_top_1(array.shape(), rows)) return ArrayMeaning::kRouting;
  if (!found.map.empty() && found.routing.empty()) {
    const bool few = array.shape().size() == 3 && array.shape().back() <= kMostTopK;
    ask(array, "looks like a placement, not like loads",
        fmt::format("{}: give it where a placement is asked for (`from`), or say `as` loads{}",
                    found.map,
                    few ? "; where it is routes [tokens, layers, k], cut off padding and tokens "
                          "that were not routed"
                        : ""));
  }
  const Sample sample = sample_of(array.shape(), rows);
  if (found.loads.empty() && found.routing.empty() && is_experts_first(array.shape(), sample)) {
    ask(array, "seems to have its experts first",
        "sums over the first dimension are equal, and those over the last are not; expected "
        "[steps, layers, experts]: numpy.moveaxis(x, 0, -1), steps before layers, or say `as` "
        "loads");
  }
  if (found.routing.empty() && is_layers_first(array.shape(), sample)) {
    ask(array, "seems to have its layers first",
        "neighbours in the second dimension are alike, as steps of a layer are, and those in the "
        "first are not; expected [steps, layers, experts]: numpy.swapaxes(x, 0, 1), or say `as` "
        "loads");
  }
  if (!found.loads.empty()) return ArrayMeaning::kLoads;
  if (found.surely_routing && found.map.empty()) return ArrayMeaning::kRouting;
  if (is_transposed(array.shape(), rows)) {
    ask(array, "seems to have its layers last",
        "the totals over experts are equal along the last dimension and not along the one before; "
        "expected [steps, layers, experts]: numpy.swapaxes(x, -1, -2), or say `as` loads");
  }
  if (!found.routing.empty() || !found.physical.empty()) {
    ask(array, "can be more than one thing",
        fmt::format("{}; say `as` loads, physical (with `map` PLACEMENT), routing or map",
                    reasons(found)));
  }
  return ArrayMeaning::kLoads;
}

}  // namespace moeshift
