// SPDX-License-Identifier: Apache-2.0
// The transport table. Which definition of each row is linked, the build decides.
#include <vector>

#include "moeshift/core/suggest.hpp"
#include "moeshift/execute/backend.hpp"

namespace moeshift {

std::span<const Backend> linked_backends() {
  static const std::vector<Backend> kBackends = {host_backend(), mpi_backend(),  nccl_backend(),
                                                 ce_backend(),   peer_backend(), auto_backend(),
                                                 rccl_backend(), hccl_backend()};
  return kBackends;
}

const Backend& find_backend(std::string_view name) {
  return row_named(linked_backends(), "backend", name);
}

}  // namespace moeshift
