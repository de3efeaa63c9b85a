// SPDX-License-Identifier: Apache-2.0
// Loads as a NumPy array [T, L, E] or [L, E] (LauzHack, and what most notebooks save).
#include <array>
#include <ostream>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/npy/npy.hpp"

namespace moeshift {
namespace {

class NpyReader final : public TraceReader {
 public:
  explicit NpyReader(std::unique_ptr<ByteSource> bytes)
      : bytes_(std::move(bytes)), array_(read_npy_header(*bytes_)) {
    const std::size_t dimensions = array_.shape.size();
    if (dimensions != 2 && dimensions != 3) {
      throw InputError(bytes_->name() + "#/header",
                       "expected shape (steps, layers, experts) or (layers, experts)");
    }
    num_steps_ = dimensions == 3 ? array_.shape[0] : 1;
    header_.num_layers = array_.shape[dimensions - 2];
    header_.num_experts = array_.shape[dimensions - 1];
    header_.source = "npy";
    check_shape(header_.num_layers, header_.num_experts, bytes_->name() + "#/header");
  }

  bool next(TraceStep& step) override {
    if (done_ == num_steps_) {
      expect_npy_end(*bytes_);
      return false;
    }
    if (step.load.rows() != header_.num_layers || step.load.columns() != header_.num_experts) {
      step.load = LoadMatrix(header_.num_layers, header_.num_experts);
    }
    step.step = static_cast<std::int64_t>(done_);
    step.label.reset();
    step.other_json = "{}";
    for (const LayerId layer : step.load.row_ids()) {
      read_npy_items(*bytes_, array_, step.load.row(layer), 0,
                     fmt::format("{}#/{}/{}", bytes_->name(), done_, layer.value()));
    }
    ++done_;
    return true;
  }

 private:
  std::unique_ptr<ByteSource> bytes_;
  NpyHeader array_;
  std::size_t num_steps_ = 0;
  std::size_t done_ = 0;
};

/// The header states the number of steps, which is known last: a file is patched in place, a pipe
/// gets everything at the end.
class NpyWriter final : public TraceWriter {
 public:
  NpyWriter(std::ostream& out, TraceHeader header)
      : out_(out), header_(std::move(header)), start_(out.tellp()) {
    out_.clear();
    body() << array_header();
  }

  void write(const TraceStep& step) override {
    check_writable(header_, step);
    bytes_.clear();
    for (const double tokens : step.load.items()) {
      append_npy_item(bytes_, static_cast<std::int64_t>(tokens));
    }
    body() << bytes_;
    ++num_steps_;
  }

  void finish() override {
    body().seekp(seekable() ? start_ : std::streampos(0));
    body() << array_header();
    body().seekp(0, std::ios::end);
    if (!seekable()) out_ << pipe_.str();
  }

 private:
  [[nodiscard]] bool seekable() const { return start_ != std::streampos(-1); }
  std::ostream& body() { return seekable() ? out_ : pipe_; }
  [[nodiscard]] std::string array_header() const {
    const std::array<std::size_t, 3> shape{num_steps_, header_.num_layers, header_.num_experts};
    return npy_header(shape);
  }

  std::ostream& out_;
  TraceHeader header_;
  std::streampos start_;
  std::ostringstream pipe_;
  std::size_t num_steps_ = 0;
  std::string bytes_;
};

}  // namespace

TraceFormat npy_trace_format() {
  return {"npy", "NumPy array of loads, [steps, layers, experts] or [layers, experts]",
          [](const FormatHead& head) { return looks_like_npy(head.bytes); },
          [](std::unique_ptr<ByteSource> bytes) -> std::unique_ptr<TraceReader> {
            return std::make_unique<NpyReader>(std::move(bytes));
          },
          [](std::ostream& out, const TraceHeader& header) -> std::unique_ptr<TraceWriter> {
            return std::make_unique<NpyWriter>(out, header);
          }};
}

}  // namespace moeshift
