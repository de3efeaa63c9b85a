// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_mpi/mpi_check.hpp"

#include <array>
#include <string_view>

#include <fmt/format.h>
#include <mpi.h>

#include "moeshift/core/error.hpp"

namespace moeshift {

void check_mpi(int code, std::source_location where) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw DeviceError(fmt::format("MPI: {} (in {})",
                                std::string_view(text.data(), static_cast<std::size_t>(length)),
                                where.function_name()));
}

}  // namespace moeshift
