// SPDX-License-Identifier: Apache-2.0
// The rows of the transport table that copy between GPUs' memories.
#include "moeshift/execute_cuda/cuda_platform.hpp"
#include "moeshift/execute_cuda/peer/peer_world.hpp"

namespace moeshift {

Backend ce_backend() {
  return peer_row<&cuda_platform, PeerCopy::kCopyEngines>(
      "ce", "copies over CUDA peer access and IPC; no kernel runs while experts travel");
}

Backend peer_backend() {
  return peer_row<&cuda_platform, PeerCopy::kStores>(
      "peer", "a small kernel stores straight into the peers' memory; best for small experts");
}

Backend auto_backend() {
  return auto_row<&cuda_platform>(
      "auto", "within a node ce for large experts and peer for small ones, between nodes nccl");
}

}  // namespace moeshift
