// SPDX-License-Identifier: Apache-2.0
// What the names of files say. Internal to formats/.
#pragma once

#include <string>
#include <string_view>

namespace moeshift {

/// "c" of "a/b/c".
[[nodiscard]] std::string file_name(const std::string& path);
/// "a/b" of "a/b/c"; "" where there is none.
[[nodiscard]] std::string folder(const std::string& path);
/// Without the ending of what packed it: "x.csv" of "x.csv.gz".
[[nodiscard]] std::string unpacked_name(const std::string& path);

/// Whether both names number a rank by the same word, and other ranks: "x_rank0" and "x_rank1",
/// "dp0/x" and "dp1/x", "x_r0" and "x_r1". Other numbers in them may differ, too.
[[nodiscard]] bool name_two_ranks(std::string_view a, std::string_view b);

}  // namespace moeshift
