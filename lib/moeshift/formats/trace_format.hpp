// SPDX-License-Identifier: Apache-2.0
// Recorded loads in every format we know, behind one reader and one writer.
#pragma once

#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/formats/bytes/byte_source.hpp"
#include "moeshift/model/load.hpp"

namespace moeshift {

/// Yields the steps of one trace in file order. Bad input, whatever the bytes, leaves by InputError
/// that names line and JSON pointer (or byte offset) and what was expected there.
class TraceReader {
 public:
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;
  virtual ~TraceReader() = default;

  [[nodiscard]] const TraceHeader& header() const { return header_; }
  /// Overwrites `step` (its memory is reused) with the next one, [num_layers, num_experts] whole
  /// numbers in [0, 2^53]; false at the end.
  virtual bool next(TraceStep& step) = 0;

 protected:
  TraceReader() = default;
  TraceHeader header_;
};

/// Takes the steps of one trace. The header was given when it was made.
class TraceWriter {
 public:
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;
  virtual ~TraceWriter() = default;

  /// @throws InputError when the step's shape is not the header's or a load is no whole number in
  /// [0, 2^53].
  virtual void write(const TraceStep& step) = 0;
  /// Ends the file. Call it once, after the last step.
  virtual void finish() {}

 protected:
  TraceWriter() = default;
};

/// What detection looks at.
struct FormatHead {
  std::string_view bytes;         ///< the first bytes of the file, up to 1 MiB
  std::vector<std::string> keys;  ///< top-level keys of the JSON object they begin, if they do
  [[nodiscard]] bool has(std::string_view key) const;
};

/// Peeks at `bytes`; consumes nothing.
[[nodiscard]] FormatHead head_of(ByteSource& bytes);

/// A row of the registry. Adding a format = one .cpp file and one row.
struct TraceFormat {
  std::string_view name;     ///< what --to and --from-format say
  std::string_view summary;  ///< one line
  bool (*detect)(const FormatHead& head);
  std::unique_ptr<TraceReader> (*open)(std::unique_ptr<ByteSource> bytes);
  /// Null for formats that are only read.
  std::unique_ptr<TraceWriter> (*create)(std::ostream& out, const TraceHeader& header);
};

/// All formats, in the order in which they are asked whether a file is theirs.
[[nodiscard]] std::span<const TraceFormat> trace_formats();

/// The format called `name`. @throws InputError with the closest known name.
[[nodiscard]] const TraceFormat& trace_format(std::string_view name);

/// Opens a trace; its header is read and checked. `in` must outlive the reader.
///
/// Memory is bounded by the largest step for neutral, vllm and npy; sglang files are one JSON
/// document and are read whole.
/// @param name what errors call the stream.
/// @param format a registry name, or "auto": whatever the first bytes look like.
/// @throws InputError
[[nodiscard]] std::unique_ptr<TraceReader> open_trace(std::istream& in, const std::string& name,
                                                      std::string_view format = "auto");

}  // namespace moeshift
