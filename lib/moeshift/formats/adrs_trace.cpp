// SPDX-License-Identifier: Apache-2.0
// The load history that the ADRS evaluators plan on (OpenEvolve's eplb example, and what grew out
// of it): {"load_history": [{"logical_expert_load": [L][E]}, ...]}, one document of hundreds of
// megabytes. Theirs is read whole; ours step by step.
#include <ostream>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/json/json_document.hpp"
#include "moeshift/formats/json/json_items.hpp"

namespace moeshift {
namespace {

constexpr const char* kLoad = "logical_expert_load";

class AdrsReader final : public TraceReader {
 public:
  AdrsReader(std::unique_ptr<ByteSource> bytes, const TraceReadOptions& options)
      : bytes_(std::move(bytes)), scale_(options.scale), steps_(*bytes_, "load_history") {
    std::string_view text;
    if (!steps_.next(text)) {
      throw InputError(bytes_->name() + "#/load_history", "expected at least one step");
    }
    first_ = text;
    adopt_shape();
    header_.source = "adrs load_history";
  }

  bool next(TraceStep& step) override {
    std::string_view text;
    if (done_ > 0 && !steps_.next(text)) return false;
    std::string other;
    bool has_load = false;
    const JsonPlace place = steps_.place();
    const auto root = done_ == 0 ? parse_first() : json_.parse(text, name_of(place));
    for (const auto field : json_object(root, place)) {
      if (field.key == kLoad) {
        json_load_matrix(field.value, header_, step.load, place.at(kLoad), scale_);
        has_load = true;
      } else {
        append_json_member(other, field);
      }
    }
    if (!has_load) place.fail("expected the key \"logical_expert_load\"");
    step.step = static_cast<std::int64_t>(done_++);
    step.label.reset();
    step.other_json = normal_json("{" + other + "}", name_of(place));
    return true;
  }

 private:
  [[nodiscard]] static std::string name_of(const JsonPlace& place) {
    return place.document + "#" + place.pointer;
  }

  simdjson::dom::element parse_first() {
    const std::size_t length = first_.size();
    first_.append(ByteSource::kPadding, ' ');
    const auto root =
        json_.parse(std::string_view(first_).substr(0, length), name_of(steps_.place()));
    first_.resize(length);
    return root;
  }

  void adopt_shape() {
    const JsonPlace place = steps_.place();
    bool has_load = false;
    for (const auto field : json_object(parse_first(), place)) {
      if (field.key != kLoad) continue;
      has_load = true;
      for (const auto row : json_array(field.value, place.at(kLoad))) {
        if (header_.num_layers++ > 0) continue;
        for (const auto unused : json_array(row, place.at(kLoad).at(std::size_t{0}))) {
          static_cast<void>(unused);
          ++header_.num_experts;
        }
      }
    }
    if (!has_load) place.fail("expected the key \"logical_expert_load\"");
    check_shape(header_.num_layers, header_.num_experts, name_of(place.at(kLoad)));
  }

  std::unique_ptr<ByteSource> bytes_;
  double scale_;
  JsonItems steps_;
  JsonDocument json_;
  std::string first_;  ///< read ahead for its shape
  std::size_t done_ = 0;
};

class AdrsWriter final : public TraceWriter {
 public:
  AdrsWriter(std::ostream& out, TraceHeader header) : out_(out), header_(std::move(header)) {
    out_ << "{\"load_history\":[";
  }

  void write(const TraceStep& step) override {
    check_writable(header_, step);
    text_ = first_ ? "\n{\"" : ",\n{\"";
    first_ = false;
    text_ += std::string(kLoad) + "\":";
    append_rows(text_, step.load);
    out_ << text_ << '}';
  }

  void finish() override { out_ << "\n]}\n"; }

 private:
  std::ostream& out_;
  TraceHeader header_;
  bool first_ = true;
  std::string text_;
};

}  // namespace

TraceFormat adrs_trace_format() {
  return {"adrs",
          "load history of the ADRS evaluators: {\"load_history\": [{\"logical_expert_load\"}]}",
          [](const FormatHead& head) { return head.has("load_history"); }, open_with<AdrsReader>,
          create_with<AdrsWriter>};
}

}  // namespace moeshift
