// SPDX-License-Identifier: Apache-2.0
// Recorded loads in every format we know, behind one reader and one writer.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/formats/bytes/byte_source.hpp"
#include "moeshift/formats/read_options.hpp"
#include "moeshift/model/load.hpp"

namespace moeshift {

class RoutesReader;
struct Routes;

/// What the file of one rank says of the others'.
struct RankFile {
  /// Ranks that share the experts with this one (an expert-parallel group), ascending; empty = not
  /// said.
  std::vector<std::int64_t> group;
  /// A layer without tokens of this rank is left out.
  bool omits_zeros = false;
  /// The ranks whose tokens are all in this file, ascending, where they are several; rank() is the
  /// first of them.
  std::vector<std::int64_t> several = {};
  /// Tells maps of slots apart: the one by which the step that next() gave last was folded. 0 = the
  /// file has none.
  std::uint64_t map = 0;
  /// Whether that map is the last of the file, which stands for all of its steps.
  bool is_last_map = false;
};

/// Yields the steps of one trace in file order. Bad input, whatever the bytes, leaves by InputError
/// that names line and JSON pointer (or byte offset) and what was expected there.
class TraceReader {
 public:
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;
  virtual ~TraceReader() = default;

  /// Its notes may grow until the end has been read.
  [[nodiscard]] const TraceHeader& header() const { return header_; }
  /// Overwrites `step` (its memory is reused) with the next one, [num_layers, num_experts] whole
  /// numbers in [0, 2^53]; false at the end.
  virtual bool next(TraceStep& step) = 0;

  /// The routes behind the loads, where the file has them; read either these or the steps.
  [[nodiscard]] virtual RoutesReader* routes() { return nullptr; }
  /// True when every step has routes, of several files too.
  [[nodiscard]] virtual bool has_routes() { return routes() != nullptr; }
  /// Those of the step that next() gave last; valid until the next call.
  [[nodiscard]] virtual const Routes* step_routes() const { return nullptr; }
  /// The rank whose tokens alone are counted, where the file says so: loads are the sum over ranks.
  [[nodiscard]] virtual std::optional<std::int64_t> rank() const { return std::nullopt; }
  [[nodiscard]] virtual RankFile rank_file() const { return {}; }

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
  std::unique_ptr<TraceReader> (*open)(std::unique_ptr<ByteSource> bytes,
                                       const TraceReadOptions& options);
  /// Null for formats that are only read.
  std::unique_ptr<TraceWriter> (*create)(std::ostream& out, const TraceHeader& header);
};

/// All formats, in the order in which they are asked whether a file is theirs.
[[nodiscard]] std::span<const TraceFormat> trace_formats();

/// The format called `name`. @throws InputError with the closest known name.
[[nodiscard]] const TraceFormat& trace_format(std::string_view name);

/// Opens a trace; its header is read and checked. `in` must outlive the reader.
///
/// Memory is bounded by the largest step for neutral, vllm, adrs and npy; other formats are one
/// document or archive and are read whole.
/// @param name what errors call the stream; some formats tell the rank in it.
/// @param format a registry name, or "auto": whatever the first bytes look like.
/// @throws InputError
[[nodiscard]] std::unique_ptr<TraceReader> open_trace(std::istream& in, const std::string& name,
                                                      std::string_view format = "auto",
                                                      const TraceReadOptions& options = {});

/// One file of a recording.
struct TraceInput {
  std::string name;  ///< its path, for errors and for what a format tells by it
  std::function<std::unique_ptr<std::istream>()> open;
};

/// How several files are one trace.
struct JoinOptions {
  bool sum_ranks = false;  ///< each file counts the tokens of one rank: equal steps are added up
  bool sort = false;       ///< by step number, which reads everything into memory
  std::string format = "auto";  ///< of all files, a registry name
};

/// Opens the files of one recording as one trace.
///
/// Files that say of which rank they are (and all, with sum_ranks) are added up step by step;
/// others follow each other, and a step that is there twice with equal loads counts once. The
/// statistics folders of TensorRT-LLM and MindIE are told by the names of their files.
/// @throws InputError when the files disagree in shape.
[[nodiscard]] std::unique_ptr<TraceReader> open_trace(std::vector<TraceInput> inputs,
                                                      const TraceReadOptions& options = {},
                                                      const JoinOptions& join = {});

}  // namespace moeshift
