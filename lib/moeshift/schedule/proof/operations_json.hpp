// SPDX-License-Identifier: Apache-2.0
// Lists of calls as a file: what a recorder in any engine writes. docs/check_schedule.md.
#pragma once

#include <iosfwd>
#include <optional>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/schedule/proof/operations.hpp"

namespace moeshift {

struct OperationsFile {
  OperationLists lists;
  std::optional<Bytes> expert_bytes;  ///< of every expert, where the file says so
};

/// @param expert_bytes what a region without "bytes" takes, where the file does not say; absent =
///        experts differ, and every region must say it.
/// @throws InputError at the place: unknown keys, ranks or members that do not exist, an event
///         that is named nowhere else, no bytes.
[[nodiscard]] OperationsFile read_operations(const JsonReader& json,
                                             std::optional<Bytes> expert_bytes);

/// Writes what read_operations() reads, a call a line.
void write_operations(std::ostream& out, const OperationLists& lists);

}  // namespace moeshift
