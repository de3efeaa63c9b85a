// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets feed: every reader, with whatever bytes.
#pragma once

#include <string>

namespace moeshift::test {

/// Reads `bytes` as a trace and as a placement, and writes what was read in every format.
/// @return true when either was accepted. Only InputError is caught: anything else is a finding.
bool feed_readers(const std::string& bytes);

}  // namespace moeshift::test
