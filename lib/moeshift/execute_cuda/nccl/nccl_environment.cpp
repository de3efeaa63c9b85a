// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/nccl/nccl_environment.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include <unistd.h>

namespace moeshift {

Facts loopback_environment(const std::string& host, bool many_ranks) {
  // Measured on one H200 with 16 cores: 4 MiB chunks reach three times the default 128 KiB; they
  // must not exceed an eighth of the buffer. More helper threads than cores only get in the way.
  return {{"NCCL_HOSTID", host},
          {"NCCL_NET", "Socket"},
          {"NCCL_SOCKET_IFNAME", "lo"},
          {"NCCL_IB_DISABLE", "1"},
          {"NCCL_MNNVL_ENABLE", "0"},
          {"NCCL_NVLS_ENABLE", "0"},
          {"NCCL_RAS_ENABLE", "0"},
          {"NCCL_BUFFSIZE", "33554432"},
          {"NCCL_P2P_NET_CHUNKSIZE", "4194304"},
          {"NCCL_SOCKET_NTHREADS", many_ranks ? "2" : "4"},
          {"NCCL_NSOCKS_PERTHREAD", "1"}};
}

Facts shared_gpu_environment(RankId rank, std::size_t ranks) {
  return loopback_environment("moeshift-rank-" + std::to_string(rank.value()), ranks > 4);
}

void set_environment(const Facts& variables) {
  for (const auto& [name, value] : variables) (void)::setenv(name.c_str(), value.c_str(), 0);
}

Facts nccl_environment() {
  Facts found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (!text.starts_with("NCCL_") || equals == std::string_view::npos) continue;
    found.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace moeshift
