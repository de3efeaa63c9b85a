// SPDX-License-Identifier: Apache-2.0
// Loads as a NumPy array [T, L, E] or [L, E] (LauzHack, and what most notebooks save).
#include <array>
#include <ostream>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/array/array_trace.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/npy/npy.hpp"

namespace moeshift {
namespace {

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
  return {"npy",
          "NumPy array of loads, [steps, layers, experts] or [layers, experts], or of routes",
          [](const FormatHead& head) { return looks_like_npy(head.bytes); },
          [](std::unique_ptr<ByteSource> bytes, const TraceReadOptions& options) {
            return array_trace(npy_rows(std::move(bytes)), options);
          },
          create_with<NpyWriter>};
}

}  // namespace moeshift
