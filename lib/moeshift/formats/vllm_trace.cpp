// SPDX-License-Identifier: Apache-2.0
// vLLM's load statistics (vllm-project/vllm#41141): JSON Lines of eplb_load_stats records, physical
// loads with the map that was live when they were counted.
#include <algorithm>
#include <ostream>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/json/json_document.hpp"

namespace moeshift {
namespace {

/// The members of one eplb_load_stats record.
struct StatsRecord {
  std::int64_t step = 0;
  std::optional<simdjson::dom::element> expert_load;
  std::optional<simdjson::dom::element> p2l_map;
  std::string other_members;
};

/// Nothing when the record is of another type (session_metadata and the like).
std::optional<StatsRecord> stats_record(simdjson::dom::element root, const JsonPlace& line) {
  StatsRecord record;
  bool is_stats = false;
  bool has_step = false;
  for (const auto field : json_object(root, line)) {
    if (field.key == "record_type") {
      is_stats = json_string(field.value, line.at("record_type")) == "eplb_load_stats";
    } else if (field.key == "version") {
      if (json_whole(field.value, 0, line.at("version")) != 1) {
        line.at("version").fail("expected version 1");
      }
    } else if (field.key == "step") {
      record.step = json_whole(field.value, 0, line.at("step"));
      has_step = true;
    } else if (field.key == "expert_load") {
      record.expert_load = field.value;
    } else if (field.key == "p2l_map") {
      record.p2l_map = field.value;
    } else if (field.key != "num_layers") {
      append_json_member(record.other_members, field);
    }
  }
  if (!is_stats) return std::nullopt;
  if (!has_step) line.fail("expected the key \"step\"");
  if (!record.expert_load) line.fail("expected the key \"expert_load\"");
  if (!record.p2l_map) line.fail("expected the key \"p2l_map\"");
  return record;
}

/// p2l_map as [layers][slots], -1 = a slot that holds nothing.
std::vector<std::vector<std::int64_t>> slot_map(simdjson::dom::element value,
                                                const JsonPlace& place) {
  std::vector<std::vector<std::int64_t>> map;
  for (const simdjson::dom::element row : json_array(value, place)) {
    const JsonPlace row_place = place.at(map.size());
    std::vector<std::int64_t> slots;
    slots.reserve(map.empty() ? 0 : map.front().size());
    for (const simdjson::dom::element slot : json_array(row, row_place)) {
      std::int64_t expert = 0;
      const bool good = slot.get(expert) == simdjson::SUCCESS && expert >= -1 &&
                        expert < static_cast<std::int64_t>(kMostExperts);
      if (!good) row_place.at(slots.size()).fail("expected an expert or -1");
      slots.push_back(expert);
    }
    if (!map.empty() && slots.size() != map.front().size()) {
      row_place.fail(fmt::format("expected {} slots, got {}", map.front().size(), slots.size()));
    }
    map.push_back(std::move(slots));
  }
  return map;
}

class VllmReader final : public TraceReader {
 public:
  explicit VllmReader(std::unique_ptr<ByteSource> bytes) : bytes_(std::move(bytes)) {
    header_.source = "vllm eplb_load_stats";
    has_pending_ = read_record(pending_);
    if (!has_pending_) {
      throw InputError(bytes_->where(), "expected at least one eplb_load_stats record with loads");
    }
  }

  bool next(TraceStep& step) override {
    if (!has_pending_) return read_record(step);
    has_pending_ = false;
    step = std::move(pending_);
    return true;
  }

 private:
  bool read_record(TraceStep& step) {
    std::string_view text;
    while (bytes_->filled_line(text)) {
      const JsonPlace line{bytes_->where(), ""};
      const auto record = stats_record(json_.parse(text, line.document), line);
      if (!record || json_array(*record->expert_load, line.at("expert_load")).size() == 0) continue;
      const auto map = slot_map(*record->p2l_map, line.at("p2l_map"));
      if (header_.num_experts == 0) adopt_shape(map, line);
      step.step = record->step;
      step.label.reset();
      step.other_json = normal_json("{" + record->other_members + "}", line.document);
      fold(*record->expert_load, map, step.load, line);
      return true;
    }
    return false;
  }

  /// The format does not state E; every expert of a live map has a slot, so its largest id does.
  void adopt_shape(const std::vector<std::vector<std::int64_t>>& map, const JsonPlace& line) {
    std::int64_t largest = -1;
    for (const auto& row : map) {
      for (const std::int64_t expert : row) largest = std::max(largest, expert);
    }
    header_.num_layers = map.size();
    header_.num_experts = static_cast<std::size_t>(largest + 1);
    check_shape(header_.num_layers, header_.num_experts, line.at("p2l_map").document + "#/p2l_map");
  }

  /// Sums the loads of the slots of each expert.
  void fold(simdjson::dom::element value, const std::vector<std::vector<std::int64_t>>& map,
            LoadMatrix& load, const JsonPlace& line) {
    const JsonPlace map_place = line.at("p2l_map");
    if (map.size() != header_.num_layers) {
      map_place.fail(fmt::format("expected {} layers, got {}", header_.num_layers, map.size()));
    }
    TraceHeader physical;
    physical.num_layers = header_.num_layers;
    physical.num_experts = map.front().size();
    json_load_matrix(value, physical, physical_, line.at("expert_load"));
    load = LoadMatrix(header_.num_layers, header_.num_experts);
    for (const LayerId layer : load.row_ids()) {
      fold_layer(map[layer.index()], physical_.row(layer), load.row(layer), map_place, layer);
    }
  }

  static void fold_layer(std::span<const std::int64_t> slots, std::span<const double> tokens,
                         std::span<double> load, const JsonPlace& map_place, LayerId layer) {
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      const auto fail = [&](const std::string& expectation) {
        map_place.at(layer.index()).at(slot).fail(expectation);
      };
      if (slots[slot] >= static_cast<std::int64_t>(load.size())) {
        fail(fmt::format("expected an expert below {}", load.size()));
      }
      if (slots[slot] < 0 && tokens[slot] != 0) {
        fail("expected no load in a slot that holds no expert");
      }
      if (slots[slot] >= 0) load[static_cast<std::size_t>(slots[slot])] += tokens[slot];
    }
    if (std::any_of(load.begin(), load.end(), [](double sum) { return sum > 0x1p53; })) {
      map_place.at(layer.index()).fail("expected replicas of an expert to sum to at most 2^53");
    }
  }

  std::unique_ptr<ByteSource> bytes_;
  JsonDocument json_;
  LoadMatrix physical_;
  TraceStep pending_;
  bool has_pending_ = false;
};

/// Writes logical loads as the physical loads of a world of one rank without redundancy.
class VllmWriter final : public TraceWriter {
 public:
  VllmWriter(std::ostream& out, TraceHeader header) : out_(out), header_(std::move(header)) {
    std::vector<double> identity(header_.num_experts);
    for (std::size_t expert = 0; expert < identity.size(); ++expert) {
      identity[expert] = static_cast<double>(expert);
    }
    for (std::size_t layer = 0; layer < header_.num_layers; ++layer) {
      if (layer > 0) map_ += ',';
      append_row(map_, identity);
    }
  }

  void write(const TraceStep& step) override {
    check_writable(header_, step);
    text_ = fmt::format(
        "{{\"record_type\":\"eplb_load_stats\",\"version\":1,\"step\":{},\"num_ranks\":1,"
        "\"num_layers\":{},\"expert_load\":",
        step.step, header_.num_layers);
    append_rows(text_, step.load);
    out_ << text_ << ",\"p2l_map\":[" << map_ << "]}\n";
  }

 private:
  std::ostream& out_;
  TraceHeader header_;
  std::string map_;
  std::string text_;
};

}  // namespace

TraceFormat vllm_trace_format() {
  return {"vllm", "vLLM eplb_load_stats JSON Lines (physical loads and p2l_map, folded to experts)",
          [](const FormatHead& head) { return head.has("record_type"); },
          [](std::unique_ptr<ByteSource> bytes) -> std::unique_ptr<TraceReader> {
            return std::make_unique<VllmReader>(std::move(bytes));
          },
          [](std::ostream& out, const TraceHeader& header) -> std::unique_ptr<TraceWriter> {
            return std::make_unique<VllmWriter>(out, header);
          }};
}

}  // namespace moeshift
