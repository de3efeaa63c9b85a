// SPDX-License-Identifier: Apache-2.0
// What vLLM's study of EPLB dumps for its balancedness log (neuralmagic/vllm, branch eplb_study):
// {"model", "world_size", ..., "snapshots": [{"step", "window_expert_load" [L][S],
// "latest_expert_load" [L][S], "physical_to_logical_map" [L][S]}]}, or the same as JSON Lines: a
// header, then a snapshot a line, appended by several data-parallel ranks.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/json/json_document.hpp"
#include "moeshift/formats/json/json_items.hpp"
#include "moeshift/formats/physical_fold.hpp"
#include "moeshift/formats/repeated_steps.hpp"

namespace moeshift {
namespace {

constexpr const char* kMap = "physical_to_logical_map";

/// What the dump says of itself.
struct DumpHeader {
  std::string model;
  std::optional<std::size_t> ranks, layers, slots, experts, redundant;
  std::int64_t window = 1;
};

void read_member(DumpHeader& header, std::string_view key, simdjson::dom::element value,
                 const JsonPlace& top) {
  if (value.is_null()) return;  // not said
  const auto count = [&] { return static_cast<std::size_t>(json_whole(value, 1, top.at(key))); };
  if (key == "model" || key == "model_name") header.model = json_string(value, top.at(key));
  if (key == "world_size") header.ranks = count();
  if (key == "num_moe_layers") header.layers = count();
  if (key == "num_physical_experts") header.slots = count();
  if (key == "num_logical_experts") header.experts = count();
  if (key == "num_redundant_experts") {
    header.redundant = static_cast<std::size_t>(json_whole(value, 0, top.at(key)));
  }
  if (key == "window_size") header.window = json_whole(value, 1, top.at(key));
}

struct Snapshot {
  std::int64_t step = 0;
  std::optional<simdjson::dom::element> window, latest, map;
};

Snapshot snapshot_of(simdjson::dom::object object, const JsonPlace& place) {
  Snapshot snapshot;
  bool has_step = false;
  for (const auto field : object) {
    if (field.key == "step") {
      snapshot.step = json_whole(field.value, 0, place.at("step"));
      has_step = true;
    } else if (field.key == "window_expert_load" && !field.value.is_null()) {
      snapshot.window = field.value;
    } else if (field.key == "latest_expert_load" && !field.value.is_null()) {
      snapshot.latest = field.value;
    } else if (field.key == kMap) {
      snapshot.map = field.value;
    }
  }
  if (!has_step) place.fail("expected the key \"step\"");
  if (!snapshot.map) place.fail(fmt::format("expected the key \"{}\"", kMap));
  if (!snapshot.window && !snapshot.latest) {
    place.fail("expected the key \"window_expert_load\" or \"latest_expert_load\"");
  }
  return snapshot;
}

/// Snapshots of one document, or a line each.
class DumpReader final : public TraceReader {
 public:
  DumpReader(std::unique_ptr<ByteSource> bytes, const TraceReadOptions& options)
      : bytes_(std::move(bytes)), scale_(options.scale), wanted_(options.model) {
    if (options.heeded) options.heeded->model = true;
    header_.source = "vllm expert load dump";
    if (head_of(*bytes_).has("snapshots")) {
      items_.emplace(*bytes_, "snapshots", [this](std::string_view key, std::string_view value) {
        std::string padded(value);
        padded.append(ByteSource::kPadding, ' ');
        JsonDocument json;
        read_member(said_, key,
                    json.parse(std::string_view(padded).substr(0, value.size()), bytes_->name()),
                    {bytes_->name(), ""});
      });
      is_ours_ = is_wanted();
    }
    has_pending_ = read_snapshot(pending_);
    if (!has_pending_) {
      throw InputError(bytes_->name(),
                       wanted_.empty()
                           ? std::string("expected at least one snapshot")
                           : fmt::format("expected a snapshot of the model '{}'", wanted_));
    }
  }

  bool next(TraceStep& step) override {
    if (!has_pending_) return read_snapshot(step);
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
  [[nodiscard]] bool is_wanted() const { return wanted_.empty() || said_.model == wanted_; }

  /// The next object that is a snapshot; headers on the way are taken in.
  std::optional<Snapshot> next_snapshot(JsonPlace& place) {
    std::string_view text;
    while (items_ ? items_->next(text) : bytes_->filled_line(text)) {
      place = items_ ? items_->place() : JsonPlace{bytes_->where(), ""};
      const std::string where = items_ ? place.document + "#" + place.pointer : place.document;
      const auto object = json_object(json_.parse(text, where), place);
      if (items_ || object.at_key("step").error() == simdjson::SUCCESS) {
        if (is_ours_) return snapshot_of(object, place);
        continue;
      }
      take_header(object, place);
    }
    return std::nullopt;
  }

  /// Each data-parallel rank writes its own; a drafter's is of another model.
  void take_header(simdjson::dom::object object, const JsonPlace& place) {
    DumpHeader header;
    for (const auto field : object) read_member(header, field.key, field.value, place);
    if (wanted_.empty() && !said_.model.empty() && header.model != said_.model) {
      place.fail(
          fmt::format("the file holds two models ('{}' and '{}'): expected `trace-model` with "
                      "one of them",
                      said_.model, header.model));
    }
    if (header.model == said_.model) check_same(header, place);
    said_ = header;
    is_ours_ = is_wanted();
  }

  /// Data-parallel ranks write one header each, of one world.
  void check_same(const DumpHeader& header, const JsonPlace& place) const {
    const auto agree = [&](const char* key, const auto& before, const auto& now) {
      if (!before || !now || *before == *now) return;
      place.at(key).fail(
          fmt::format("expected {}, as an earlier header says, got {}: a file is of "
                      "one world",
                      *before, *now));
    };
    agree("world_size", said_.ranks, header.ranks);
    agree("num_moe_layers", said_.layers, header.layers);
    agree("num_physical_experts", said_.slots, header.slots);
    agree("num_logical_experts", said_.experts, header.experts);
  }

  bool read_snapshot(TraceStep& step) {
    JsonPlace place;
    while (const auto snapshot = next_snapshot(place)) {
      SlotMap map = slot_map(*snapshot->map, place.at(kMap));
      if (header_.num_experts == 0) adopt(map, place);
      fold(*snapshot, map, step.load, place);
      if (repeated_.seen(snapshot->step, step.load) || overlaps(*snapshot)) continue;
      live_map_ = std::move(map);
      step.step = snapshot->step;
      step.label.reset();
      step.other_json = "{}";
      return true;
    }
    repeated_.note_in(header_.notes);
    if (windows_ > 0 && passes_ > 0) {
      header_.notes.push_back(
          fmt::format("{} snapshots have the load of their latest pass alone, {} that of a window: "
                      "they weigh less",
                      passes_, windows_));
    }
    if (overlapping_ > 0) {
      header_.notes.push_back(
          fmt::format("{} snapshots count passes that another counts too (a window is {} "
                      "passes): they are left out",
                      overlapping_, said_.window));
    }
    return false;
  }

  bool overlaps(const Snapshot& snapshot) {
    if (!snapshot.window) return false;
    const auto after = taken_.upper_bound(snapshot.step - said_.window);
    const bool again = after != taken_.end() && *after < snapshot.step + said_.window;
    if (again) {
      ++overlapping_;
    } else {
      taken_.insert(snapshot.step);
    }
    return again;
  }

  void adopt(const SlotMap& map, const JsonPlace& place) {
    const auto agree = [&](std::optional<std::size_t> said, std::size_t found,
                           std::string_view what) {
      if (said && *said != found) {
        place.at(kMap).fail(
            fmt::format("expected {} {}, as the header says, got {}", *said, what, found));
      }
    };
    agree(said_.layers, map.size(), "layers");
    agree(said_.slots, map.front().size(), "slots");
    agree(said_.experts, experts_of(map), "experts");
    const std::size_t slots = map.front().size();
    agree(said_.redundant, slots - std::min(slots, experts_of(map)), "redundant experts");
    header_.num_layers = map.size();
    header_.num_experts = said_.experts.value_or(experts_of(map));
    header_.model = said_.model;
    header_.num_ranks = said_.ranks;
    header_.num_slots = map.front().size();
    check_shape(header_.num_layers, header_.num_experts, place.at(kMap).document);
    if (said_.ranks && map.front().size() % *said_.ranks != 0) {
      place.at(kMap).fail(fmt::format("{} slots do not divide evenly over {} ranks",
                                      map.front().size(), *said_.ranks));
    }
  }

  void fold(const Snapshot& snapshot, const SlotMap& map, LoadMatrix& load,
            const JsonPlace& place) {
    if (map.size() != header_.num_layers) {
      place.at(kMap).fail(
          fmt::format("expected {} layers, got {}", header_.num_layers, map.size()));
    }
    TraceHeader physical;
    physical.num_layers = map.size();
    physical.num_experts = map.front().size();
    const bool window = snapshot.window.has_value();
    ++(window ? windows_ : passes_);
    json_load_matrix(window ? *snapshot.window : *snapshot.latest, physical, physical_,
                     place.at(window ? "window_expert_load" : "latest_expert_load"), scale_);
    if (load.rows() != header_.num_layers || load.columns() != header_.num_experts) {
      load = LoadMatrix(header_.num_layers, header_.num_experts);
    }
    fold_slots(map, physical_, load, place.at(kMap));
  }

  std::unique_ptr<ByteSource> bytes_;
  double scale_;
  std::string wanted_;
  DumpHeader said_;
  bool is_ours_ = true;
  std::optional<JsonItems> items_;  ///< none where every snapshot is a line
  JsonDocument json_;
  LoadMatrix physical_;
  SlotMap live_map_;  ///< of the step read last
  RepeatedSteps repeated_;
  std::set<std::int64_t> taken_;  ///< steps at the ends of windows
  std::size_t overlapping_ = 0;
  std::size_t windows_ = 0;  ///< snapshots with the load of a window
  std::size_t passes_ = 0;   ///< and of one pass
  TraceStep pending_;
  bool has_pending_ = false;
};

}  // namespace

TraceFormat vllm_dump_trace_format() {
  return {"vllm-dump",
          "vLLM expert load dump: JSON with \"snapshots\", or a header and a snapshot a line",
          [](const FormatHead& head) {
            return head.has("snapshots") || head.has("window_expert_load") ||
                   head.has("latest_expert_load") ||
                   (head.has("num_physical_experts") && !head.has("physical_to_logical_map"));
          },
          open_with<DumpReader>, nullptr};
}

}  // namespace moeshift
