// SPDX-License-Identifier: Apache-2.0
// Archives of numpy.savez(): routes ("routed_experts" [tokens, layers, k], as vLLM and SGLang hand
// out), Megatron's expert loads (MCORE_MOE_EXPERT_LOAD_DUMP), or a single array of loads.
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/array/array_placement.hpp"
#include "moeshift/formats/array/array_trace.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/npy/npy.hpp"
#include "moeshift/formats/sparse_counts.hpp"
#include "moeshift/formats/torch/torch_archive.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kMegatron = "mcore_ep_load_dump_v1";
constexpr std::size_t kMostSmall = 1'000'000;

/// The arrays of an archive by name.
class Npz {
 public:
  Npz(const ZipArchive& zip, std::string name) : zip_(zip), name_(std::move(name)) {}

  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const std::string& entry : zip_.entries()) {
      if (entry.ends_with(".npy")) names.push_back(entry.substr(0, entry.size() - 4));
    }
    return names;
  }
  [[nodiscard]] bool has(std::string_view array) const {
    const auto all = names();
    return std::find(all.begin(), all.end(), array) != all.end();
  }
  [[nodiscard]] std::string place(const std::string& array) const { return name_ + "#/" + array; }
  [[nodiscard]] std::string bytes(const std::string& array) const {
    if (!has(array)) throw InputError(name_, fmt::format("expected the array \"{}\"", array));
    auto content = zip_.read(array + ".npy");
    if (!content) throw InputError(place(array), "expected an undamaged entry");
    return *std::move(content);
  }
  [[nodiscard]] std::unique_ptr<ArrayRows> rows(const std::string& array) const {
    return npy_rows(bytes(array), place(array));
  }
  /// Whole numbers of a small array.
  [[nodiscard]] std::vector<double> small(const std::string& array) const {
    const auto numbers_in = rows(array);
    std::vector<double> numbers = all_numbers(*numbers_in, kMostSmall);
    accept_ids(numbers, 0, kLargestLoad, place(array));
    return numbers;
  }
  [[nodiscard]] std::size_t number(const std::string& array) const {
    const std::vector<double> numbers = small(array);
    if (numbers.size() != 1) throw InputError(place(array), "expected one number");
    return static_cast<std::size_t>(numbers.front());
  }

 private:
  const ZipArchive& zip_;
  std::string name_;
};

void check_group(const std::vector<std::int64_t>& group, std::int64_t rank, std::size_t ranks,
                 const std::string& place) {
  if (group.size() != ranks) {
    throw InputError(place, fmt::format("expected {} ranks, as ep_size says", ranks));
  }
  if (!std::ranges::binary_search(group, rank)) {
    throw InputError(place,
                     fmt::format("expected rank {}, which wrote the file, among them", rank));
  }
}

/// Megatron counts layers from 1, everybody else from 0. `numbers` become the model's own.
/// @return what was done, a line.
std::string count_from_zero(std::vector<double>& numbers, const std::string& place) {
  const auto [first, last] = std::ranges::minmax(numbers);
  if (first < 1) throw InputError(place, "expected Megatron's numbers, which count from 1");
  for (double& number : numbers) number -= 1;
  return fmt::format("Megatron counts layers from 1: its layers {} to {} are {} to {}", first, last,
                     first - 1, last - 1);
}

/// [layers, forwards, experts]: layer first. Rows past forward_counts were never written.
std::unique_ptr<TraceReader> open_megatron(const Npz& npz, const std::string& name,
                                           const TraceReadOptions& options) {
  if (npy_text(npz.bytes("dump_version"), npz.place("dump_version")) != kMegatron) {
    throw InputError(npz.place("dump_version"), fmt::format("expected \"{}\"", kMegatron));
  }
  const auto loads = npz.rows("loads");
  const auto& shape = loads->shape();
  if (shape.size() != 3) {
    throw InputError(loads->place(), "expected shape (layers, forwards, experts)");
  }
  check_shape(shape[0], shape[2], loads->place());
  std::vector<double> layers = npz.small("layer_numbers");
  const std::vector<double> forwards = npz.small("forward_counts");
  if (layers.size() != shape[0] || forwards.size() != shape[0]) {
    throw InputError(npz.place("layer_numbers"), fmt::format("expected {} numbers", shape[0]));
  }
  if (npz.number("num_global_physical_experts") != shape[2]) {
    throw InputError(npz.place("num_global_physical_experts"),
                     fmt::format("expected {}, as in loads", shape[2]));
  }
  std::vector<double> sorted = layers;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) {
    throw InputError(npz.place("layer_numbers"), "expected every layer once");
  }
  const auto fewest_at = std::ranges::min_element(forwards);
  const double fewest = *fewest_at;
  if (fewest == 0) {
    throw InputError(npz.place("forward_counts"),
                     fmt::format("layer {} has counted no pass: expected at least one",
                                 layers[static_cast<std::size_t>(fewest_at - forwards.begin())]));
  }
  if (*std::ranges::max_element(forwards) > static_cast<double>(shape[1])) {
    throw InputError(npz.place("forward_counts"),
                     fmt::format("expected at most {}, the passes in loads", shape[1]));
  }
  const std::string counted = count_from_zero(layers, npz.place("layer_numbers"));
  SparseCounts counts(shape[2]);
  std::vector<double> row(shape[2]);
  for (std::size_t layer = 0; layer < shape[0]; ++layer) {
    for (std::size_t forward = 0; forward < shape[1]; ++forward) {
      loads->next(row);
      if (static_cast<double>(forward) >= fewest) continue;
      accept_loads(row, options.scale, fmt::format("{}/{}/{}", loads->place(), layer, forward));
      counts.row(static_cast<std::int64_t>(forward), static_cast<std::int64_t>(layers[layer])) =
          row;
    }
  }
  TraceHeader header;
  header.source = "megatron expert load dump";
  header.num_ranks = npz.number("ep_size");
  header.num_slots = shape[2];
  header.notes.push_back(counted);
  if (*std::ranges::max_element(forwards) > fewest) {
    header.notes.push_back(fmt::format(
        "{}: not all layers have the same number of passes; the first {} that all have are read",
        name, fewest));
  }
  const auto rank = static_cast<std::int64_t>(npz.number("global_rank"));
  RankFile file;
  if (npz.has("ep_group_ranks")) {
    for (const double member : npz.small("ep_group_ranks")) {
      file.group.push_back(static_cast<std::int64_t>(member));
    }
    std::ranges::sort(file.group);
    check_group(file.group, rank, *header.num_ranks, npz.place("ep_group_ranks"));
  }
  return std::move(counts).reader(std::move(header), name, rank, std::move(file));
}

/// Members of one number that are read beside an array.
bool number_key(std::string_view name) {
  constexpr std::array kNames{"num_experts", "num_ranks", "world_size", "ep_size", "top_k"};
  return std::ranges::find(kNames, name) != kNames.end();
}

/// The array to read: the only one, or one by a name that writers use.
std::string loads_in(const Npz& npz, const std::string& name) {
  std::vector<std::string> names = npz.names();
  std::erase_if(names, [](const std::string& array) {
    const MemberKind kind = member_kind(array);
    return array == "layer_ids" || array == "layer_numbers" || number_key(array) ||
           kind == MemberKind::kInverseMap;
  });
  if (names.size() == 1) return names.front();
  for (const char* known : {"loads", "load", "expert_load", "expert_loads", "logical_count",
                            "physical_count", "global_physical_count"}) {
    if (npz.has(known)) return known;
  }
  std::erase_if(names,
                [](const std::string& array) { return member_kind(array) == MemberKind::kMap; });
  if (names.size() == 1) return names.front();
  throw InputError(name, fmt::format("holds the arrays {}; expected one called \"loads\" or "
                                     "\"routed_experts\" (or one array alone)",
                                     fmt::join(names, ", ")));
}

/// What the archive says of the array that is read, and what nobody reads.
struct Beside {
  ArrayCompany company;
  std::optional<std::size_t> num_experts;
};

/// Reads the map `name` beside the loads `array`. @throws InputError where it is no single map.
void take_map(const Npz& npz, const std::string& name, const std::string& array, Beside& found) {
  const auto rows = npz.rows(name);
  const auto shape = npz.rows(array)->shape();
  if (rows->shape().size() == 3 && shape.size() == 3 && rows->shape()[0] == shape[0] &&
      rows->shape()[1] == shape[1]) {
    throw InputError(npz.place(name),
                     "holds a map per step: expected one [layers, slots] for all, or `as` physical "
                     "with `map` PLACEMENT, or `as` loads");
  }
  PlacementHints hints{found.num_experts, std::nullopt};
  hints.likely_ranks = found.company.num_ranks.value_or(1);
  found.company.map = std::make_shared<PlacementFile>(array_placement(*rows, hints));
  found.company.map_name = name;
}

Beside beside(const Npz& npz, const std::string& array, bool asks_map) {
  Beside found;
  std::vector<std::string> maps;
  std::string inverse;
  std::vector<std::string> unread;
  for (const std::string& name : npz.names()) {
    if (name == array) continue;
    if (name == "layer_ids" || name == "layer_numbers") {
      for (const double id : npz.small(name)) {
        auto& ids = found.company.layer_ids;
        const auto number = static_cast<std::int64_t>(id);
        if (id > kMostLayers || std::ranges::find(ids, number) != ids.end()) {
          throw InputError(npz.place(name), "expected every layer once, by its number");
        }
        ids.push_back(number);
      }
    } else if (name == "num_experts") {
      found.num_experts = npz.number(name);
    } else if (name == "top_k") {
      found.company.top_k = npz.number(name);
    } else if (number_key(name)) {
      found.company.num_ranks = npz.number(name);
    } else if (asks_map && member_kind(name) == MemberKind::kMap) {
      maps.push_back(name);
    } else if (asks_map && member_kind(name) == MemberKind::kInverseMap) {
      inverse = name;
    } else {
      unread.push_back(name);
    }
  }
  if (maps.size() > 1) {
    throw InputError(npz.place(array),
                     fmt::format("the maps {} lie beside it: expected one, or `as` physical with "
                                 "`map` PLACEMENT, or `as` loads",
                                 fmt::join(maps, ", ")));
  }
  if (maps.empty() && !inverse.empty()) {
    throw InputError(npz.place(array),
                     fmt::format("{} lies beside it, so that these may be loads of slots: expected "
                                 "`as` physical with `map` PLACEMENT, or `as` loads",
                                 inverse));
  }
  if (!maps.empty()) take_map(npz, maps.front(), array, found);
  if (!inverse.empty()) unread.push_back(inverse);
  if (!unread.empty()) {
    found.company.notes.push_back(
        fmt::format("of the archive {} is read, not {}", array, fmt::join(unread, ", ")));
  }
  return found;
}

std::unique_ptr<TraceReader> array_of(const Npz& npz, const std::string& array,
                                      TraceReadOptions options) {
  // Whoever says what the numbers are need not be asked by a map beside them.
  const bool asks_map = options.as == ArrayMeaning::kTold ||
                        (options.as == ArrayMeaning::kPhysical && options.map == nullptr);
  const Beside found = beside(npz, array, asks_map);
  if (found.num_experts) {
    if (options.num_experts.value_or(*found.num_experts) != *found.num_experts) {
      throw InputError(npz.place("num_experts"),
                       fmt::format("expected {} experts, but the file says {}",
                                   *options.num_experts, *found.num_experts));
    }
    options.num_experts = found.num_experts;
  }
  auto reader = array_trace(npz.rows(array), options, found.company, array);
  if (found.num_experts && reader->header().num_experts != *found.num_experts) {
    throw InputError(npz.place("num_experts"),
                     fmt::format("expected {}, as in {}", reader->header().num_experts, array));
  }
  return reader;
}

std::unique_ptr<TraceReader> open_zip(std::unique_ptr<ByteSource> bytes,
                                      const TraceReadOptions& options) {
  const std::string name = bytes->name();
  auto zip = std::make_unique<ZipArchive>(*bytes);
  if (TorchArchive::is_one(*zip)) return torch_trace(std::move(zip), name, options);
  const Npz npz(*zip, name);
  if (npz.has("dump_version")) return open_megatron(npz, name, options);
  TraceReadOptions of_array = options;
  if (npz.has("routed_experts")) {
    if (options.as == ArrayMeaning::kTold) of_array.as = ArrayMeaning::kRouting;
    return array_of(npz, "routed_experts", of_array);
  }
  if (npz.names().empty()) {
    throw InputError(name, "expected a file of torch.save() or numpy.savez()");
  }
  return array_of(npz, loads_in(npz, name), of_array);
}

}  // namespace

TraceFormat npz_trace_format() {
  return {"npz", "numpy.savez(): routed_experts [tokens, layers, k], Megatron's loads, or loads",
          [](const FormatHead& head) { return looks_like_zip(head.bytes); }, open_zip, nullptr};
}

}  // namespace moeshift
