// SPDX-License-Identifier: Apache-2.0
// vLLM's load statistics (vllm-project/vllm#41141): JSON Lines of eplb_load_stats records, physical
// loads with the map that was live when they were counted.
#include <algorithm>
#include <map>
#include <ostream>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/json/json_document.hpp"
#include "moeshift/formats/physical_fold.hpp"
#include "moeshift/formats/repeated_steps.hpp"

namespace moeshift {
namespace {

/// The members of one eplb_load_stats record.
struct StatsRecord {
  std::int64_t step = 0;
  std::optional<simdjson::dom::element> expert_load;
  std::optional<simdjson::dom::element> p2l_map;
  std::optional<std::size_t> num_ranks;
  std::optional<std::size_t> num_layers;
  std::string model;
  std::string other_members;
};

std::size_t count_at(simdjson::dom::key_value_pair field, const JsonPlace& line) {
  return static_cast<std::size_t>(json_whole(field.value, 1, line.at(field.key)));
}

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
    } else if (field.key == "num_layers") {
      record.num_layers = count_at(field, line);
    } else {
      const bool said = !field.value.is_null();
      if (field.key == "num_ranks" && said) record.num_ranks = count_at(field, line);
      if ((field.key == "model" || field.key == "model_name") && said) {
        record.model = json_string(field.value, line.at(field.key));
      }
      append_json_member(record.other_members, field);
    }
  }
  if (!is_stats) return std::nullopt;
  if (!has_step) line.fail("expected the key \"step\"");
  if (!record.expert_load) line.fail("expected the key \"expert_load\"");
  if (!record.p2l_map) line.fail("expected the key \"p2l_map\"");
  return record;
}

/// "some/model", or "58-layers" where records have no name in them.
std::string model_of(const StatsRecord& record, const SlotMap& map) {
  return record.model.empty() ? fmt::format("{}-layers", map.size()) : record.model;
}

class VllmReader final : public TraceReader {
 public:
  VllmReader(std::unique_ptr<ByteSource> bytes, const TraceReadOptions& options)
      : bytes_(std::move(bytes)), scale_(options.scale), wanted_(options.model) {
    if (options.heeded) options.heeded->model = true;
    header_.source = "vllm eplb_load_stats";
    has_pending_ = read_record(pending_);
    if (!has_pending_) {
      std::string expectation = "expected at least one eplb_load_stats record with loads";
      if (!wanted_.empty()) expectation += fmt::format(" of the model '{}'{}", wanted_, others());
      throw InputError(bytes_->where(), expectation);
    }
  }

  bool next(TraceStep& step) override {
    if (!has_pending_) return read_record(step);
    has_pending_ = false;
    step = std::move(pending_);
    return true;
  }
  [[nodiscard]] RankFile rank_file() const override {
    RankFile file;
    if (!live_map_.empty()) file.map = hash_of(live_map_);  // few ask: joined files
    return file;
  }

 private:
  bool read_record(TraceStep& step) {
    std::string_view text;
    while (bytes_->filled_line(text)) {
      const JsonPlace line{bytes_->where(), ""};
      const auto record = stats_record(json_.parse(text, line.document), line);
      if (!record || json_array(*record->expert_load, line.at("expert_load")).size() == 0) continue;
      SlotMap map = slot_map(*record->p2l_map, line.at("p2l_map"));
      if (!is_ours(*record, map, line)) continue;
      if (header_.num_experts == 0) adopt(*record, map, line);
      fold(*record, map, step.load, line);
      if (header_.num_ranks &&
          record->num_ranks.value_or(*header_.num_ranks) != *header_.num_ranks) {
        other_world_.emplace(*record->num_ranks, record->step);
      }
      if (repeated_.seen(record->step, step.load)) continue;
      live_map_ = std::move(map);
      step.step = record->step;
      step.label.reset();
      step.other_json = normal_json("{" + record->other_members + "}", line.document);
      return true;
    }
    repeated_.note_in(header_.notes);
    for (const auto& [ranks, first] : std::exchange(other_world_, {})) {
      header_.notes.push_back(
          fmt::format("records from step {} on are of {} ranks, those before "
                      "of {}",
                      first, ranks, *header_.num_ranks));
    }
    return false;
  }

  /// A drafter beside the model writes records of its own into the same file.
  bool is_ours(const StatsRecord& record, const SlotMap& map, const JsonPlace& line) {
    const std::string model = model_of(record, map);
    if (std::find(models_.begin(), models_.end(), model) == models_.end()) models_.push_back(model);
    if (!wanted_.empty()) return model == wanted_;
    if (models_.size() == 1) return true;
    line.fail(
        fmt::format("this record is of another model ('{}') than those before ('{}'): expected "
                    "`trace-model` with one of them",
                    model, models_.front()));
  }

  [[nodiscard]] std::string others() const {
    return models_.empty() ? "" : fmt::format(", found '{}'", fmt::join(models_, "', '"));
  }

  /// The format does not state E.
  void adopt(const StatsRecord& record, const SlotMap& map, const JsonPlace& line) {
    header_.num_layers = map.size();
    header_.num_experts = experts_of(map);
    header_.model = record.model;
    // This program writes loads of experts as those of a world of one rank: no world is meant.
    if (record.num_ranks.value_or(1) > 1) {
      header_.num_ranks = record.num_ranks;
      header_.num_slots = map.front().size();
    }
    const std::string place = line.at("p2l_map").document + "#/p2l_map";
    check_shape(header_.num_layers, header_.num_experts, place);
    if (record.num_ranks && map.front().size() % *record.num_ranks != 0) {
      line.at("num_ranks")
          .fail(fmt::format("{} slots do not divide evenly over {} ranks", map.front().size(),
                            *record.num_ranks));
    }
  }

  void fold(const StatsRecord& record, const SlotMap& map, LoadMatrix& load,
            const JsonPlace& line) {
    const JsonPlace map_place = line.at("p2l_map");
    if (map.size() != header_.num_layers) {
      map_place.fail(fmt::format("expected {} layers, got {}", header_.num_layers, map.size()));
    }
    if (record.num_layers && *record.num_layers != map.size()) {
      line.at("num_layers").fail(fmt::format("expected {}, as in the map", map.size()));
    }
    TraceHeader physical;
    physical.num_layers = header_.num_layers;
    physical.num_experts = map.front().size();
    json_load_matrix(*record.expert_load, physical, physical_, line.at("expert_load"), scale_);
    if (load.rows() != header_.num_layers || load.columns() != header_.num_experts) {
      load = LoadMatrix(header_.num_layers, header_.num_experts);
    }
    fold_slots(map, physical_, load, map_place);
  }

  std::unique_ptr<ByteSource> bytes_;
  double scale_;
  std::string wanted_;
  std::vector<std::string> models_;                  ///< seen so far
  std::map<std::size_t, std::int64_t> other_world_;  ///< ranks that changed, with the first step
  JsonDocument json_;
  LoadMatrix physical_;
  SlotMap live_map_;  ///< of the step read last
  RepeatedSteps repeated_;
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
          [](const FormatHead& head) { return head.has("record_type"); }, open_with<VllmReader>,
          create_with<VllmWriter>};
}

}  // namespace moeshift
