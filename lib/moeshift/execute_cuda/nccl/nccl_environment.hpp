// SPDX-License-Identifier: Apache-2.0
// What NCCL reads from the environment, and what several ranks on one GPU need there.
#pragma once

#include <cstddef>
#include <string>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute_cuda/runtime/device_runtime.hpp"

namespace moeshift {

/// NCCL before 2.30 refuses two ranks of one host on one GPU. With a host name of its own per
/// process it takes them for different hosts and sends through sockets; then loopback, large
/// chunks and helper threads matter. Variables and values; nothing is set here.
[[nodiscard]] Facts shared_gpu_environment(RankId rank, std::size_t ranks);

/// The same for any processes of this machine that are to pass for hosts of several names.
[[nodiscard]] Facts loopback_environment(const std::string& host, bool many_ranks);

/// Puts variables into this process's environment; what the user has set stays. Before NCCL's
/// first call, while no other thread runs.
void set_environment(const Facts& variables);

/// Every NCCL_* variable of this process, sorted.
[[nodiscard]] Facts nccl_environment();

}  // namespace moeshift
