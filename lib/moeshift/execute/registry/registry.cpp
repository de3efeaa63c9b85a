// SPDX-License-Identifier: Apache-2.0
// The transport table. Which definition of each row is linked, the build decides.
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/execute/backend.hpp"

namespace moeshift {

std::span<const Backend> linked_backends() {
  static const std::vector<Backend> kBackends = {host_backend(), mpi_backend(), nccl_backend(),
                                                 ce_backend()};
  return kBackends;
}

const Backend& find_backend(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Backend& backend : linked_backends()) {
    if (backend.name == name) return backend;
    known.push_back(backend.name);
  }
  throw InputError("--backend", "unknown backend '" + std::string(name) + "'" +
                                    did_you_mean(name, known) + "; see 'moeshift backends'");
}

}  // namespace moeshift
