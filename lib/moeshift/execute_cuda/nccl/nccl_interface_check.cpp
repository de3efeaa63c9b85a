// SPDX-License-Identifier: Apache-2.0
// Compiled where nccl.h is found: the interface that collective_library.hpp declares is that one.
#include <cstddef>
#include <type_traits>

#include <nccl.h>

#include "moeshift/execute_cuda/nccl/collective_library.hpp"

namespace moeshift {

static_assert(kCollectiveSuccess == ncclSuccess);
static_assert(kCollectiveInProgress == ncclInProgress);
static_assert(kCollectiveBytes == ncclUint8);
static_assert(sizeof(CollectiveId) == sizeof(ncclUniqueId));
static_assert(CollectiveConfig::kUndefined == NCCL_CONFIG_UNDEF_INT);
static_assert(offsetof(CollectiveConfig, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(offsetof(CollectiveConfig, max_ctas) == offsetof(ncclConfig_t, maxCTAs));
static_assert(offsetof(CollectiveConfig, split_share) == offsetof(ncclConfig_t, splitShare));
static_assert(std::is_same_v<decltype(&ncclCommAbort), ncclResult_t (*)(ncclComm_t)>);
static_assert(
    std::is_same_v<decltype(&ncclSend), ncclResult_t (*)(const void*, std::size_t, ncclDataType_t,
                                                         int, ncclComm_t, cudaStream_t)>);
static_assert(std::is_same_v<decltype(&ncclCommInitRankConfig),
                             ncclResult_t (*)(ncclComm_t*, int, ncclUniqueId, int, ncclConfig_t*)>);
static_assert(std::is_same_v<decltype(&ncclCommRegister),
                             ncclResult_t (*)(const ncclComm_t, void*, std::size_t, void**)>);

/// Newer headers only.
template <class Config>
constexpr bool same_name_field() {
  if constexpr (requires(Config config) { config.commName; }) {
    return offsetof(CollectiveConfig, comm_name) == offsetof(Config, commName) &&
           offsetof(CollectiveConfig, nvls_ctas) == offsetof(Config, nvlsCTAs);
  }
  return true;
}
static_assert(same_name_field<ncclConfig_t>());

}  // namespace moeshift
