// SPDX-License-Identifier: Apache-2.0
// Traces that are several files: one after another, summed over ranks, or sorted. Internal to
// formats/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

/// A file of a recording, opened.
struct TracePart {
  std::string name;
  std::unique_ptr<TraceReader> reader;
};

/// Adds what the parts had to say, each with its name, when all of them were read.
void take_notes(const std::vector<TracePart>& parts, TraceHeader& header);

/// "these are the tokens of 4 of 8 ranks"
[[nodiscard]] std::string tokens_of_some(std::size_t files, std::size_t ranks);

/// The steps of all parts, one file after the other. A step that an earlier file has, with equal
/// loads, is left out; one that has a number of an earlier file and other loads goes on counting
/// where that file ended. Steps of a file that lie before those of an earlier one, and were in
/// none, keep their numbers: TraceDoubts says that they do not ascend.
[[nodiscard]] std::unique_ptr<TraceReader> in_sequence(std::vector<TracePart> parts);

/// The same, by ascending step number; everything is read into memory.
/// @throws InputError when a step is there twice with different loads.
[[nodiscard]] std::unique_ptr<TraceReader> sorted_by_step(std::vector<TracePart> parts);

/// Steps of equal numbers added up: one part for each rank. Steps that not all have are left out,
/// which a note says. Layers that only some parts have are zero in the others, where layers have
/// numbers.
/// @param missing ranks that have no file, for a note.
/// @param notes of what belongs together, for the header.
/// @throws InputError when the steps of a part do not ascend, and when slots of one step were
/// folded by different maps.
[[nodiscard]] std::unique_ptr<TraceReader> summed_over_ranks(
    std::vector<TracePart> parts, const std::vector<std::int64_t>& missing,
    std::vector<std::string> notes = {});

}  // namespace moeshift
