// SPDX-License-Identifier: Apache-2.0
// SGLang's JSON of logical counts (--init-expert-location): {"logical_count": [L][E] or
// [steps][L][E]}.
#include <algorithm>
#include <optional>
#include <ostream>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/json/json_document.hpp"
#include "moeshift/formats/json/json_scan.hpp"
#include "moeshift/formats/physical_fold.hpp"

namespace moeshift {
namespace {

/// The first item of an array that has one.
simdjson::dom::element first_of(simdjson::dom::element value, const JsonPlace& place) {
  for (const simdjson::dom::element item : json_array(value, place)) return item;
  place.fail("expected a filled array");
}

/// Rows of numbers, by the first of them.
bool is_table(simdjson::dom::element value) {
  return value.is_array() && value.at(0).is_array() && value.at(0).at(0).is_int64();
}

class SglangReader final : public TraceReader {
 public:
  SglangReader(std::unique_ptr<ByteSource> bytes, const TraceReadOptions& options)
      : bytes_(std::move(bytes)), name_(bytes_->name()), scale_(options.scale) {
    header_.source = "sglang logical_count";
    const std::string_view text = bytes_->rest();
    // A tape of the whole is four times as long as the text and as slow to fill as memory is to
    // get: steps are parsed one by one.
    const auto split = split_object(text, "logical_count");
    if (!split) explain(text);
    header_.other_json = normal_json(fmt::format("{{{}}}", fmt::join(split->others, ",")), name_);
    adopt_shape(*split);
    check_map(*split);
  }

  bool next(TraceStep& step) override {
    if (done_ == steps_.size()) return false;
    step.step = static_cast<std::int64_t>(done_);
    step.label.reset();
    step.other_json = "{}";
    const JsonPlace counts{name_, "/logical_count"};
    const JsonPlace place = many_steps_ ? counts.at(done_) : counts;
    json_load_matrix(json_.parse(steps_[done_], place_of(place)), header_, step.load, place,
                     scale_);
    ++done_;
    return true;
  }

 private:
  static std::string place_of(const JsonPlace& place) {
    return place.document + "#" + place.pointer;
  }

  /// What is wrong with a document that could not be split.
  [[noreturn]] void explain(std::string_view text) {
    const JsonPlace top{name_, ""};
    std::optional<simdjson::dom::element> counts;
    for (const auto field : json_object(json_.parse(text, name_), top)) {
      if (field.key == "logical_count") counts = field.value;
    }
    if (!counts) top.fail("expected the key \"logical_count\"");
    const JsonPlace place = top.at("logical_count");
    static_cast<void>(first_of(*counts, place));
    place.fail("expected an array of steps");
  }

  /// Counts with a column for each slot of a map beside them are not what they are called.
  void check_map(const SplitObject& split) {
    for (const std::string_view member : split.others) {
      const std::size_t colon = member.find(':');
      const std::string_view key = member.substr(0, colon);
      if (key.find("physical_to_logical") == std::string_view::npos &&
          key.find("p2l_map") == std::string_view::npos) {
        continue;
      }
      std::string document = fmt::format("{{{}}}", member);
      const std::size_t length = document.size();
      document.append(ByteSource::kPadding, ' ');
      const JsonPlace top{name_, ""};
      const auto parsed = json_.parse(std::string_view(document).substr(0, length), name_);
      for (const auto field : json_object(parsed, top)) {
        if (!is_table(field.value)) continue;
        refuse_slots(slot_map(field.value, top.at(field.key)), field.key);
      }
    }
  }

  void refuse_slots(const SlotMap& map, std::string_view key) const {
    const bool of_slots = map.size() == header_.num_layers &&
                          map.front().size() == header_.num_experts &&
                          experts_of(map) < header_.num_experts;
    if (!of_slots) return;
    throw InputError(name_ + "#/logical_count",
                     fmt::format("has a column for each slot of {}, which has {} experts, and is "
                                 "called loads of experts: expected [steps][layers][experts]",
                                 key, experts_of(map)));
  }

  void adopt_shape(const SplitObject& split) {
    const JsonPlace place{name_, "/logical_count"};
    const JsonPlace first_place = place.at(std::size_t{0});
    const auto first = json_.parse(split.items.front(), place_of(first_place));
    many_steps_ = first_of(first, first_place).is_array();
    steps_ = many_steps_ ? split.items : std::vector{split.array};
    const auto count = [](simdjson::dom::array array) {
      std::size_t items = 0;
      for (const auto unused : array) {
        static_cast<void>(unused);
        ++items;
      }
      return items;
    };
    const auto row = many_steps_ ? first_of(first, first_place) : first;
    header_.num_layers = many_steps_ ? count(json_array(first, first_place)) : split.items.size();
    header_.num_experts = count(json_array(row, first_place));
    check_shape(header_.num_layers, header_.num_experts, name_ + "#/logical_count");
  }

  std::unique_ptr<ByteSource> bytes_;
  std::string name_;
  double scale_;
  JsonDocument json_;
  std::vector<std::string_view> steps_;  ///< of the text that bytes_ keeps
  bool many_steps_ = false;
  std::size_t done_ = 0;
};

class SglangWriter final : public TraceWriter {
 public:
  SglangWriter(std::ostream& out, TraceHeader header)
      : out_(out), header_(std::move(header)), rows_(rows_of(header_)), recorded_(rows_, kNone) {
    for (std::size_t row = 0; row < header_.num_layers; ++row) {
      recorded_[header_.layer_ids.empty() ? row
                                          : static_cast<std::size_t>(header_.layer_ids[row])] = row;
    }
    out_ << "{\"logical_count\":[";
  }

  void write(const TraceStep& step) override {
    check_writable(header_, step);
    text_ = first_ ? "" : ",";
    first_ = false;
    append_all(step.load);
    out_ << text_;
  }

  void finish() override { out_ << "]}\n"; }

 private:
  /// SGLang finds a layer by its number in the model: dense layers have rows of zeros.
  static std::size_t rows_of(const TraceHeader& header) {
    const auto& ids = header.layer_ids;
    if (ids.empty()) return header.num_layers;
    if (std::ranges::min(ids) < 0) throw InputError("layer_ids", "expected layers from 0 on");
    const std::size_t last = static_cast<std::size_t>(std::ranges::max(ids)) + 1;
    const std::size_t rows = std::max(last, header.num_hidden_layers.value_or(0));
    check_shape(rows, header.num_experts, "layer_ids");
    return rows;
  }

  void append_all(const LoadMatrix& load) {
    const std::vector<double> none(header_.num_experts, 0.0);
    text_ += '[';
    for (std::size_t id = 0; id < rows_; ++id) {
      if (id > 0) text_ += ',';
      const std::size_t row = recorded_[id];
      append_row(text_, row == kNone ? std::span<const double>(none) : load.row(LayerId(row)));
    }
    text_ += ']';
  }

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  std::ostream& out_;
  TraceHeader header_;
  std::size_t rows_;
  std::vector<std::size_t> recorded_;  ///< the row of the recording that is layer i, or kNone
  bool first_ = true;
  std::string text_;
};

}  // namespace

TraceFormat sglang_trace_format() {
  return {"sglang", "SGLang JSON {\"logical_count\": [steps][layers][experts]}",
          [](const FormatHead& head) { return head.has("logical_count"); }, open_with<SglangReader>,
          create_with<SglangWriter>};
}

}  // namespace moeshift
