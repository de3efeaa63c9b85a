// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/joined/mindie.hpp"

#include <algorithm>
#include <charconv>
#include <istream>
#include <iterator>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/joined/file_names.hpp"
#include "moeshift/formats/joined/mindie_config.hpp"
#include "moeshift/formats/joined/natural_order.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/formats/running_totals.hpp"

namespace moeshift {
namespace {

/// The counts of one device, [rows, slots].
struct DeviceCounts {
  std::string name;
  std::vector<std::vector<double>> rows;
};

DeviceCounts read_device(const TraceInput& input, const TraceReadOptions& options) {
  ByteSource bytes(input.open(), input.name);
  DeviceCounts device{input.name, {}};
  std::string_view line;
  while (bytes.filled_line(line)) {
    std::vector<double> row;
    const char* at = line.data();
    const char* end = at + line.size();
    while (at < end && (end[-1] == '\r' || end[-1] == ' ')) --end;
    while (true) {
      double count = 0;
      const auto [stop, error] = std::from_chars(at, end, count);
      if (error != std::errc()) throw InputError(bytes.where(), "expected counts, comma-separated");
      row.push_back(count);
      if (stop == end) break;
      if (*stop != ',') throw InputError(bytes.where(), "expected counts, comma-separated");
      at = stop + 1;
    }
    accept_loads(row, options.scale, bytes.where());
    if (!device.rows.empty() && row.size() != device.rows.front().size()) {
      throw InputError(bytes.where(), fmt::format("expected {} counts, as in the lines before",
                                                  device.rows.front().size()));
    }
    device.rows.push_back(std::move(row));
  }
  if (device.rows.empty())
    throw InputError(input.name + ":1", "the file is empty; expected counts");
  return device;
}

/// All steps in memory.
class StepsReader final : public TraceReader {
 public:
  StepsReader(TraceHeader header, std::vector<LoadMatrix> steps) : steps_(std::move(steps)) {
    header_ = std::move(header);
  }
  bool next(TraceStep& step) override {
    if (done_ == steps_.size()) return false;
    step.step = static_cast<std::int64_t>(done_);
    step.label.reset();
    step.other_json = "{}";
    step.load = steps_[done_++];
    return true;
  }

 private:
  std::vector<LoadMatrix> steps_;
  std::size_t done_ = 0;
};

/// The device's counts of one pass and layer, from its totals.
std::vector<double> counts_at(const DeviceCounts& device, std::size_t pass, std::size_t layer,
                              std::size_t layers) {
  std::vector<double> now = device.rows[pass * layers + layer];
  if (pass > 0) take_difference(device.rows[(pass - 1) * layers + layer], now);
  return now;
}

[[noreturn]] void demand_map(const MindieConfig& config, std::size_t slots,
                             const std::string& where) {
  if (!config.map.empty()) {
    throw InputError(where,
                     fmt::format("{} names the map {} that says which slot held which expert, and "
                                 "it is not among the files; expected `map` PLACEMENT",
                                 kMindieConfig, config.map));
  }
  throw InputError(where, fmt::format("{} slots hold {} experts, and {} names no map that says "
                                      "which (eplb_expert_map_file); expected `map` PLACEMENT",
                                      slots, config.experts, kMindieConfig));
}

void check_map(const PlacementFile& map, const MindieConfig& config,
               const std::vector<DeviceCounts>& devices, std::size_t slots) {
  const Placement& placement = map.placement;
  const std::string& where = devices.front().name;
  if (placement.layers() != config.layers || placement.slots() != slots ||
      placement.experts() > config.experts) {
    throw InputError(where,
                     fmt::format("counts are of {} layers x {} slots, the expert map of {} x {}",
                                 config.layers, slots, placement.layers(), placement.slots()));
  }
  // A map whose format says no ranks is read as of one.
  if (placement.ranks() == 1) return;
  if (placement.ranks() != devices.size()) {
    throw InputError(where, fmt::format("counts are of {} devices, the expert map of {}: expected "
                                        "the `map` under which they were counted",
                                        devices.size(), placement.ranks()));
  }
  for (const DeviceCounts& device : devices) {
    if (device.rows.front().size() * devices.size() == slots) continue;
    throw InputError(device.name, fmt::format("has {} slots, where the expert map has {} a device",
                                              device.rows.front().size(), slots / devices.size()));
  }
}

constexpr std::size_t kNoExpert = static_cast<std::size_t>(-1);

/// The experts of all slots, device by device, of each layer; kNoExpert where the map has none.
std::vector<std::vector<std::size_t>> slot_experts(const MindieConfig& config,
                                                   const PlacementFile* map,
                                                   const std::vector<DeviceCounts>& devices,
                                                   std::size_t slots) {
  std::vector<std::vector<std::size_t>> experts(config.layers, std::vector<std::size_t>(slots));
  if (map == nullptr) {
    if (!config.map.empty() || slots != config.experts) {
      demand_map(config, slots, devices.front().name);
    }
    for (auto& row : experts) std::iota(row.begin(), row.end(), std::size_t{0});
    return experts;
  }
  check_map(*map, config, devices, slots);
  for (const LayerId layer : map->placement.physical_to_logical().row_ids()) {
    const auto row = map->placement.layer(layer);
    for (std::size_t slot = 0; slot < slots; ++slot) {
      experts[layer.index()][slot] = row[slot].is_none() ? kNoExpert : row[slot].index();
    }
  }
  return experts;
}

/// What all devices have, of layers by lines.
struct Passes {
  std::size_t fewest = 0;
  std::size_t most = 0;
};

Passes passes_of(const std::vector<DeviceCounts>& devices, const MindieConfig& config) {
  Passes passes;
  for (const DeviceCounts& device : devices) {
    if (device.rows.size() % config.layers != 0) {
      throw InputError(device.name, fmt::format("{} lines are no multiple of {} layers",
                                                device.rows.size(), config.layers));
    }
    const std::size_t own = device.rows.size() / config.layers;
    passes.fewest = passes.most == 0 ? own : std::min(passes.fewest, own);
    passes.most = std::max(passes.most, own);
  }
  return passes;
}

/// Loads of one pass.
LoadMatrix loads_at(const std::vector<DeviceCounts>& devices, std::size_t pass,
                    const MindieConfig& config,
                    const std::vector<std::vector<std::size_t>>& experts) {
  LoadMatrix load(config.layers, config.experts);
  for (const LayerId layer : load.row_ids()) {
    std::size_t slot = 0;
    for (const DeviceCounts& device : devices) {
      for (const double count : counts_at(device, pass, layer.index(), config.layers)) {
        const std::size_t expert = experts[layer.index()][slot++];
        if (expert != kNoExpert) {
          load.row(layer)[expert] += count;
        } else if (count != 0) {
          throw InputError(
              fmt::format("{}:{}", device.name, pass * config.layers + layer.index() + 1),
              "expected no load in a slot that the map says is empty");
        }
      }
    }
  }
  return load;
}

void add_notes(TraceHeader& header, const MindieConfig& config, bool has_map, const Passes& passes,
               const FirstTotal& first) {
  auto& notes = header.notes;
  notes.push_back("MindIE writes running totals: each step is the difference to the one before, " +
                  first.note());
  if (config.shared_devices > 0) {
    notes.push_back(fmt::format("the first {} devices hold shared experts and are left out",
                                config.shared_devices));
  }
  if (!has_map) {
    notes.push_back(fmt::format("{} names no eplb_expert_map_file: slot i is taken for expert i",
                                kMindieConfig));
  }
  if (passes.most > passes.fewest) {
    notes.push_back(
        fmt::format("not all devices have as many passes ({} to {}): the first {}, "
                    "which all have, are read",
                    passes.fewest, passes.most, passes.fewest));
  }
}

/// A line counts the layers of the model in order, whatever order the map names them in.
std::string put_in_order(std::optional<PlacementFile>& map) {
  if (!map || std::ranges::is_sorted(map->layer_ids)) return "";
  const std::string note =
      fmt::format("the map has layers {}; those of the counts are taken to ascend",
                  fmt::join(map->layer_ids, ", "));
  map = in_layer_order(*std::move(map));
  return note;
}

std::unique_ptr<TraceReader> with_config(const std::vector<DeviceCounts>& devices,
                                         const MindieConfig& config,
                                         std::optional<PlacementFile> own) {
  const std::string order = put_in_order(own);
  const PlacementFile* map = own ? &*own : nullptr;
  const Passes passes = passes_of(devices, config);
  std::size_t slots = 0;
  for (const DeviceCounts& device : devices) slots += device.rows.front().size();
  const auto experts = slot_experts(config, map, devices, slots);
  std::vector<LoadMatrix> steps;
  FirstTotal first;
  for (std::size_t pass = 0; pass < passes.fewest; ++pass) {
    steps.push_back(loads_at(devices, pass, config, experts));
    const auto loads = steps.back().items();
    first.add(std::accumulate(loads.begin(), loads.end(), 0.0));
  }
  TraceHeader header;
  header.num_layers = config.layers;
  header.num_experts = config.experts;
  if (map != nullptr) header.layer_ids = map->layer_ids;
  header.top_k = config.top_k;
  header.num_ranks = devices.size();
  header.num_slots = slots;
  header.source = "mindie expert counts";
  add_notes(header, config, map != nullptr, passes, first);
  if (!order.empty()) header.notes.push_back(order);
  check_shape(header.num_layers, header.num_experts, devices.front().name);
  return std::make_unique<StepsReader>(std::move(header), std::move(steps));
}

std::unique_ptr<TraceReader> without_config(const std::vector<DeviceCounts>& devices) {
  const std::size_t layers = devices.front().rows.size();
  std::size_t experts = 0;
  for (const DeviceCounts& device : devices) {
    if (device.rows.size() != layers) {
      throw InputError(device.name, fmt::format("expected {} lines (layers), as in {}", layers,
                                                devices.front().name));
    }
    experts += device.rows.front().size();
  }
  check_shape(layers, experts, devices.front().name);
  LoadMatrix load(layers, experts);
  for (const LayerId layer : load.row_ids()) {
    auto to = load.row(layer).begin();
    for (const DeviceCounts& device : devices) {
      to = std::ranges::copy(device.rows[layer.index()], to).out;
    }
  }
  TraceHeader header;
  header.num_layers = layers;
  header.num_experts = experts;
  header.num_ranks = devices.size();
  header.num_slots = experts;
  header.source = "mindie expert counts";
  header.notes.push_back(
      fmt::format("no {}: a line is a layer, a column an expert, devices in the "
                  "order of their numbers",
                  kMindieConfig));
  return std::make_unique<StepsReader>(std::move(header), std::vector<LoadMatrix>{std::move(load)});
}

std::int64_t device_of(const TraceInput& input) {
  return rank_in_name(input.name).value_or(0);
}

/// By their numbers, which count on from node (sub-folder) to node or begin anew in each.
std::vector<TraceInput> in_device_order(std::vector<TraceInput> inputs) {
  std::vector<std::int64_t> numbers;
  std::ranges::transform(inputs, std::back_inserter(numbers), device_of);
  std::ranges::sort(numbers);
  const bool anew = std::ranges::adjacent_find(numbers) != numbers.end();
  std::ranges::sort(inputs, [&](const TraceInput& a, const TraceInput& b) {
    const std::string of_a = anew ? folder(a.name) : "";
    const std::string of_b = anew ? folder(b.name) : "";
    return of_a != of_b ? natural_before(of_a, of_b) : device_of(a) < device_of(b);
  });
  std::int64_t expected = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i, ++expected) {
    if (anew && i > 0 && folder(inputs[i].name) != folder(inputs[i - 1].name)) expected = 0;
    if (device_of(inputs[i]) == expected) continue;
    throw InputError(inputs[i].name, fmt::format("the file of device {} is missing: expected those "
                                                 "of all devices, which hold other experts",
                                                 expected));
  }
  return inputs;
}

void refuse_two_phases(const std::vector<TraceInput>& inputs) {
  const bool first = file_name(inputs.front().name).starts_with("prefill");
  for (const TraceInput& input : inputs) {
    if (file_name(input.name).starts_with("prefill") == first) continue;
    throw InputError(input.name,
                     "expected the files of one phase, decode_*.csv or prefill_*.csv: "
                     "the two have other loads, plan for each");
  }
}

}  // namespace

bool is_mindie_name(const std::string& path) {
  const std::string name = unpacked_name(file_name(path));
  const std::size_t start = name.starts_with("decode_")    ? 7
                            : name.starts_with("prefill_") ? 8
                                                           : std::string::npos;
  if (start == std::string::npos || !name.ends_with(".csv")) return false;
  const std::string_view digits = std::string_view(name).substr(start, name.size() - start - 4);
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

std::unique_ptr<TraceReader> mindie_trace(std::vector<TraceInput> inputs,
                                          const TraceReadOptions& options) {
  std::vector<TraceInput> counts;
  for (const TraceInput& input : inputs) {
    if (is_mindie_name(input.name)) counts.push_back(input);
  }
  refuse_two_phases(counts);
  const auto called = [&](std::string_view name) {
    return std::ranges::find_if(inputs, [&](const TraceInput& input) {
      return unpacked_name(file_name(input.name)) == unpacked_name(std::string(name));
    });
  };
  const auto config_file = called(kMindieConfig);
  const bool has_config = config_file != inputs.end();
  const MindieConfig config = has_config ? read_mindie_config(*config_file) : MindieConfig{};
  std::vector<DeviceCounts> devices;
  for (const TraceInput& input : in_device_order(std::move(counts))) {
    devices.push_back(read_device(input, options));
  }
  if (!has_config) return without_config(devices);
  if (config.shared_devices >= devices.size()) {
    throw InputError(config_file->name, fmt::format("{} devices for shared experts, but {} files",
                                                    config.shared_devices, devices.size()));
  }
  devices.erase(devices.begin(),
                devices.begin() + static_cast<std::ptrdiff_t>(config.shared_devices));
  std::optional<PlacementFile> map;
  const auto map_file = config.map.empty() ? inputs.end() : called(config.map);
  if (options.heeded) options.heeded->map = true;
  if (options.map != nullptr) {
    map = *options.map;
  } else if (map_file != inputs.end()) {
    const auto in = map_file->open();
    PlacementHints hints{config.experts, std::nullopt};
    hints.likely_ranks = devices.size();
    map = read_placement(*in, map_file->name, hints);
    if (map->placement.ranks() != devices.size()) {
      throw InputError(map_file->name, fmt::format("is of {} devices, and there are counts of {}",
                                                   map->placement.ranks(), devices.size()));
    }
  }
  return with_config(devices, config, std::move(map));
}

}  // namespace moeshift
