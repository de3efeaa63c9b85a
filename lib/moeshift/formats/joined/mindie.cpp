// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/joined/mindie.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/joined/natural_order.hpp"
#include "moeshift/formats/placement_format.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kConfig = "model_gen_config.json";

std::string file_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

std::string folder(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

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

/// What model_gen_config.json says.
struct Config {
  std::size_t layers = 0;
  std::size_t experts = 0;
  std::optional<std::size_t> top_k;
  std::size_t shared_devices = 0;
  std::string map;
};

Config read_config(const TraceInput& input) {
  ByteSource bytes(input.open(), input.name);
  const auto document = parse_json(bytes.rest(), input.name);
  const JsonReader top(document, input.name);
  Config config;
  config.layers = static_cast<std::size_t>(
      top.at("num_moe_layers").whole(1, static_cast<std::int64_t>(kMostLayers)));
  config.experts = static_cast<std::size_t>(
      top.at("num_of_experts").whole(1, static_cast<std::int64_t>(kMostExperts)));
  for (const char* key : {"num_of_selected_expert", "num_of_selected_experts"}) {
    const auto chosen = top.find(key);
    if (!chosen) continue;
    const JsonReader number = chosen->is_array() ? chosen->at(std::size_t{0}) : *chosen;
    config.top_k =
        static_cast<std::size_t>(number.whole(1, static_cast<std::int64_t>(config.experts)));
  }
  const auto enabled = top.find("enable_dangling_shared_expert");
  const auto shared = top.find("num_dangling_shared_experts");
  if (shared && (!enabled || enabled->boolean())) {
    config.shared_devices = static_cast<std::size_t>(shared->whole(0, 1'000'000));
  }
  const auto map = top.find("eplb_expert_map_file");
  if (map && map->is_string()) config.map = file_name(map->string());
  return config;
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

/// What was counted since the row before: totals run on, and begin anew where any of them falls.
std::vector<double> since(const std::vector<double>& before, const std::vector<double>& now) {
  std::vector<double> difference(now.size());
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] < before[i]) return now;
    difference[i] = now[i] - before[i];
  }
  return difference;
}

/// The device's counts of one pass and layer.
std::vector<double> counts_at(const DeviceCounts& device, std::size_t pass, std::size_t layer,
                              std::size_t layers) {
  const std::vector<double>& now = device.rows[pass * layers + layer];
  return pass == 0 ? now : since(device.rows[(pass - 1) * layers + layer], now);
}

/// The experts of all slots, device by device, of each layer.
std::vector<std::vector<std::size_t>> slot_experts(const Config& config, const PlacementFile* map,
                                                   std::size_t slots, const std::string& where) {
  std::vector<std::vector<std::size_t>> experts(config.layers, std::vector<std::size_t>(slots));
  if (map == nullptr) {
    if (slots != config.experts) {
      throw InputError(where,
                       fmt::format("{} slots hold {} experts, and the map that says which "
                                   "({}) is not among the files; expected `map` PLACEMENT",
                                   slots, config.experts,
                                   config.map.empty() ? "eplb_expert_map_file" : config.map));
    }
    for (auto& row : experts) {
      for (std::size_t slot = 0; slot < slots; ++slot) row[slot] = slot;
    }
    return experts;
  }
  const Placement& placement = map->placement;
  if (placement.layers() != config.layers || placement.slots() != slots ||
      placement.experts() > config.experts) {
    throw InputError(where,
                     fmt::format("counts are of {} layers x {} slots, the expert map of {} x "
                                 "{}",
                                 config.layers, slots, placement.layers(), placement.slots()));
  }
  for (const LayerId layer : placement.physical_to_logical().row_ids()) {
    const auto row = placement.layer(layer);
    for (std::size_t slot = 0; slot < slots; ++slot) {
      experts[layer.index()][slot] = row[slot].is_none() ? config.experts : row[slot].index();
    }
  }
  return experts;
}

std::unique_ptr<TraceReader> with_config(const std::vector<DeviceCounts>& devices,
                                         const Config& config, const PlacementFile* map) {
  std::size_t passes = devices.front().rows.size() / config.layers;
  std::size_t slots = 0;
  for (const DeviceCounts& device : devices) {
    if (device.rows.size() % config.layers != 0) {
      throw InputError(device.name, fmt::format("{} lines are no multiple of {} layers",
                                                device.rows.size(), config.layers));
    }
    passes = std::min(passes, device.rows.size() / config.layers);
    slots += device.rows.front().size();
  }
  const auto experts = slot_experts(config, map, slots, devices.front().name);
  std::vector<LoadMatrix> steps;
  for (std::size_t pass = 0; pass < passes; ++pass) {
    LoadMatrix load(config.layers, config.experts);
    for (const LayerId layer : load.row_ids()) {
      std::size_t slot = 0;
      for (const DeviceCounts& device : devices) {
        for (const double count : counts_at(device, pass, layer.index(), config.layers)) {
          const std::size_t expert = experts[layer.index()][slot++];
          if (expert < config.experts) load.row(layer)[expert] += count;
        }
      }
    }
    steps.push_back(std::move(load));
  }
  TraceHeader header;
  header.num_layers = config.layers;
  header.num_experts = config.experts;
  header.top_k = config.top_k;
  header.num_ranks = devices.size();
  header.num_slots = slots;
  header.source = "mindie expert counts";
  header.notes.emplace_back(
      "MindIE writes running totals: each step is the difference to the one "
      "before");
  if (config.shared_devices > 0) {
    header.notes.push_back(fmt::format("the first {} devices hold shared experts and are left out",
                                       config.shared_devices));
  }
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
                  kConfig));
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
  const std::string name = file_name(path);
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
    return std::ranges::find_if(
        inputs, [&](const TraceInput& input) { return file_name(input.name) == name; });
  };
  const auto config_file = called(kConfig);
  const bool has_config = config_file != inputs.end();
  const Config config = has_config ? read_config(*config_file) : Config{};
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
    map = read_placement(*in, map_file->name, {config.experts, std::nullopt});
  }
  return with_config(devices, config, map ? &*map : nullptr);
}

}  // namespace moeshift
