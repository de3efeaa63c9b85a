// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <source_location>

namespace moeshift {

/// @throws DeviceError with MPI's own words and the place of the call, unless `code` is success.
void check_mpi(int code, std::source_location where = std::source_location::current());

}  // namespace moeshift
