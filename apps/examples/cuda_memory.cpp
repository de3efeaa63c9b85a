// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime_api.h>

#include "moeshift/core/error.hpp"

#include "own_memory.hpp"

namespace {

using namespace moeshift;

void require(cudaError_t code, const char* call) {
  if (code != cudaSuccess) throw DeviceError(std::string(call) + ": " + cudaGetErrorString(code));
}

class CudaMemory final : public OwnMemory {
 public:
  explicit CudaMemory(std::string_view transport) : transport_(transport) {
    const Backend backend = find_backend(transport_);
    if (const std::string reason = backend.unavailable_reason(); !reason.empty()) {
      throw DeviceError(transport_ + ": " + reason);
    }
    int devices = 0;
    require(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
    devices_ = static_cast<std::size_t>(devices);
  }
  ~CudaMemory() override {
    for (std::byte* start : buffers_) cudaFree(start);
  }

  /// On the rank's device: the engine gives each device as many ranks as it must, in order.
  std::byte* allocate(RankId rank, std::size_t ranks, std::size_t bytes) override {
    const std::size_t per_device = (ranks + devices_ - 1) / devices_;
    require(cudaSetDevice(static_cast<int>(rank.index() / per_device)), "cudaSetDevice");
    void* start = nullptr;
    require(cudaMalloc(&start, bytes), "cudaMalloc");
    return buffers_.emplace_back(static_cast<std::byte*>(start));
  }
  void write(std::byte* to, const std::byte* from, std::size_t bytes) override {
    require(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    // From pageable memory the call may return before the bytes are there.
    require(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize");
  }
  void read(std::byte* to, const std::byte* from, std::size_t bytes) override {
    require(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
  }
  std::unique_ptr<CallerWeights> registered(FindTensor find) override {
    return std::make_unique<DeviceWeights>(
        std::move(find),
        [this](std::byte* to, const std::byte* from, std::size_t bytes) { read(to, from, bytes); });
  }
  std::unique_ptr<World> open_world(std::size_t ranks) override {
    return find_backend(transport_)
        .open({.ranks = ranks, .place = {}, .settings = {{"threads", ""}}});
  }

 private:
  std::string transport_;
  std::size_t devices_ = 0;
  std::vector<std::byte*> buffers_;
};

}  // namespace

std::unique_ptr<OwnMemory> own_memory(std::string_view transport) {
  return std::make_unique<CudaMemory>(transport.empty() ? "peer" : transport);
}
