// SPDX-License-Identifier: Apache-2.0
// The project's own trace format: JSON Lines, a header and then one object per step.
#include <algorithm>
#include <array>
#include <iterator>
#include <ostream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/header_json.hpp"
#include "moeshift/formats/json/json_document.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 12> kHeaderKeys{
    "model",     "num_layers", "num_experts",       "top_k",     "num_expert_groups",
    "layer_ids", "num_ranks",  "num_hidden_layers", "num_slots", "num_nodes",
    "source",    "licence"};

/// Null says nothing.
std::optional<JsonReader> said_in(const JsonReader& header, std::string_view key) {
  auto value = header.find(key);
  if (value && value->is_null()) value.reset();
  return value;
}

std::string optional_text(const JsonReader& header, std::string_view key) {
  const auto value = said_in(header, key);
  return value ? value->string() : std::string();
}

std::vector<std::int64_t> layer_ids_of(const JsonReader& header, std::size_t num_layers) {
  const auto value = said_in(header, "layer_ids");
  if (!value) return {};
  if (value->size() != num_layers) {
    value->fail(fmt::format("expected {} layer numbers, got {}", num_layers, value->size()));
  }
  std::vector<std::int64_t> ids;
  for (const JsonReader& item : value->items()) {
    const std::int64_t id = item.whole(0, static_cast<std::int64_t>(kMostLayers));
    if (std::find(ids.begin(), ids.end(), id) != ids.end()) {
      item.fail(fmt::format("layer {} is there twice", id));
    }
    ids.push_back(id);
  }
  return ids;
}

std::size_t count_of(const JsonReader& value, std::size_t highest) {
  return static_cast<std::size_t>(value.whole(1, static_cast<std::int64_t>(highest)));
}

std::optional<std::size_t> optional_count(const JsonReader& header, std::string_view key,
                                          std::size_t highest) {
  const auto value = said_in(header, key);
  if (!value) return std::nullopt;
  return count_of(*value, highest);
}

/// A key that looks like one of ours would lose what it says without a word.
void note_misspelled(const JsonReader& header, std::string_view key, TraceHeader& notes_of) {
  std::vector<std::string_view> absent;
  std::ranges::copy_if(kHeaderKeys, std::back_inserter(absent),
                       [&](std::string_view known) { return !header.has(known); });
  const std::string meant = did_you_mean(key, absent);
  if (meant.empty()) return;
  notes_of.notes.push_back(fmt::format("the header's \"{}\" is no key that is read{}", key, meant));
}

TraceHeader parse_header(const Json& document, const std::string& where) {
  const JsonReader reader(document, where);
  if (!reader.is_object()) reader.fail("expected the header object of a trace");
  if (reader.find("expert_tensors")) {
    reader.fail("this is a model, not a load trace; give it where a model is asked for (`model`)");
  }
  TraceHeader header;
  header.num_layers = count_of(reader.at("num_layers"), kMostLayers);
  header.num_experts = count_of(reader.at("num_experts"), kMostExperts);
  check_shape(header.num_layers, header.num_experts, reader.at("num_experts").where());
  header.model = optional_text(reader, "model");
  header.source = optional_text(reader, "source");
  header.licence = optional_text(reader, "licence");
  header.top_k = optional_count(reader, "top_k", header.num_experts);
  header.num_expert_groups = optional_count(reader, "num_expert_groups", header.num_experts);
  header.layer_ids = layer_ids_of(reader, header.num_layers);
  header.num_ranks = optional_count(reader, "num_ranks", kMostExperts);
  header.num_hidden_layers = optional_count(reader, "num_hidden_layers", kMostLayers);
  if (header.layer_ids.empty() &&
      header.num_hidden_layers.value_or(header.num_layers) < header.num_layers) {
    reader.at("num_hidden_layers")
        .fail(
            fmt::format("expected at least the {} layers of num_layers, or \"layer_ids\" that say "
                        "which of them are draft layers",
                        header.num_layers));
  }
  header.num_slots = optional_count(reader, "num_slots", kMostExperts);
  header.num_nodes = optional_count(reader, "num_nodes", kMostExperts);
  Json other = Json::object();
  for (const auto& [key, value] : document.items()) {
    if (std::find(kHeaderKeys.begin(), kHeaderKeys.end(), key) == kHeaderKeys.end()) {
      other[key] = value;
      note_misspelled(reader, key, header);
    }
  }
  header.other_json = other.dump();
  return header;
}

class NeutralReader final : public TraceReader {
 public:
  NeutralReader(std::unique_ptr<ByteSource> bytes, const TraceReadOptions& options)
      : bytes_(std::move(bytes)), scale_(options.scale) {
    std::string_view text;
    if (!bytes_->filled_line(text)) {
      throw InputError(bytes_->where(), "the file is empty; expected the header of a trace");
    }
    // simdjson first: it bounds the depth that the other parser will follow.
    json_object(json_.parse(text, bytes_->where()), {bytes_->where(), ""});
    const Json header = parse_json_line(text, bytes_->where());
    header_ = parse_header(header, bytes_->where());
    const auto appended = header.find("appended");
    appended_ = appended != header.end() && appended->is_boolean() && appended->get<bool>();
  }

  bool next(TraceStep& step) override {
    std::string_view text;
    if (!bytes_->filled_line(text)) return false;
    try {
      read_step(text, step);
      return true;
    } catch (const InputError&) {
      // A recorder that appends may have been killed in the middle of its last line.
      if (!appended_ || !bytes_->peek(1).empty()) throw;
      header_.notes.push_back(bytes_->where() +
                              " is cut off, as by a recorder that was killed: left out");
      return false;
    }
  }

 private:
  void read_step(std::string_view text, TraceStep& step) {
    const JsonPlace line{bytes_->where(), ""};
    const auto object = json_object(json_.parse(text, line.document), line);
    step.label.reset();
    bool has_step = false;
    bool has_load = false;
    std::string other;
    for (const auto field : object) {
      if (field.key == "load") {
        json_load_matrix(field.value, header_, step.load, line.at("load"), scale_);
        has_load = true;
      } else if (field.key == "step") {
        step.step = json_whole(field.value, 0, line.at("step"));
        has_step = true;
      } else if (field.key == "label") {
        step.label = json_string(field.value, line.at("label"));
      } else {
        append_json_member(other, field);
      }
    }
    if (!has_step) line.fail("expected the key \"step\"");
    if (!has_load) line.fail("expected the key \"load\"");
    step.other_json = normal_json("{" + other + "}", line.document);
  }

  std::unique_ptr<ByteSource> bytes_;
  double scale_;
  bool appended_ = false;  ///< written step by step by whoever may die on the way
  JsonDocument json_;
};

class NeutralWriter final : public TraceWriter {
 public:
  NeutralWriter(std::ostream& out, TraceHeader header) : out_(out), header_(std::move(header)) {
    Json json = header_json(header_);
    json.update(Json::parse(header_.other_json));
    out_ << json.dump() << '\n';
  }

  void write(const TraceStep& step) override {
    check_writable(header_, step);
    text_ = fmt::format("{{\"step\":{},\"load\":", step.step);
    append_rows(text_, step.load);
    if (step.label) text_ += ",\"label\":" + Json(*step.label).dump();
    if (step.other_json != "{}") {
      text_ += ',';
      text_.append(step.other_json, 1, step.other_json.size() - 2);
    }
    text_ += "}\n";
    out_ << text_;
  }

 private:
  std::ostream& out_;
  TraceHeader header_;
  std::string text_;
};

}  // namespace

nlohmann::ordered_json header_json(const TraceHeader& header) {
  Json json = Json::object();
  json["model"] = header.model;
  json["num_layers"] = header.num_layers;
  json["num_experts"] = header.num_experts;
  if (header.top_k) json["top_k"] = *header.top_k;
  if (header.num_expert_groups) json["num_expert_groups"] = *header.num_expert_groups;
  if (!header.layer_ids.empty()) json["layer_ids"] = header.layer_ids;
  if (header.num_ranks) json["num_ranks"] = *header.num_ranks;
  if (header.num_hidden_layers) json["num_hidden_layers"] = *header.num_hidden_layers;
  if (header.num_slots) json["num_slots"] = *header.num_slots;
  if (header.num_nodes) json["num_nodes"] = *header.num_nodes;
  json["source"] = header.source;
  json["licence"] = header.licence;
  return json;
}

TraceFormat neutral_trace_format() {
  return {"neutral", "JSON Lines of this project: a header, then one object per step",
          [](const FormatHead& head) {
            return head.has("num_layers") && head.has("num_experts") && !begins_routes(head);
          },
          open_with<NeutralReader>, create_with<NeutralWriter>};
}

}  // namespace moeshift
