// SPDX-License-Identifier: Apache-2.0
// Whether this process is one of many that a launcher started, by its environment.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "moeshift/execute/backend.hpp"

namespace moeshift::cli {

/// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const char* name)>;

/// This process's environment.
[[nodiscard]] Environment process_environment();

/// Our own launcher first (MOESHIFT_RANK), then Open MPI's mpirun, torchrun, srun.
/// @throws InputError for numbers that make no sense.
[[nodiscard]] std::optional<ProcessPlace> process_place(const Environment& environment);

}  // namespace moeshift::cli
