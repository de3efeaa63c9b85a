// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <list>
#include <utility>
#include <vector>

#include "moeshift/core/error.hpp"

#include "own_memory.hpp"

namespace {

using namespace moeshift;

class HostMemory final : public OwnMemory {
 public:
  std::byte* allocate(RankId /*rank*/, std::size_t /*ranks*/, std::size_t bytes) override {
    return buffers_.emplace_back(bytes).data();
  }
  void write(std::byte* to, const std::byte* from, std::size_t bytes) override {
    std::copy_n(from, bytes, to);
  }
  void read(std::byte* to, const std::byte* from, std::size_t bytes) override {
    std::copy_n(from, bytes, to);
  }
  std::unique_ptr<CallerWeights> registered(FindTensor find) override {
    return std::make_unique<HostWeights>(std::move(find));
  }
  std::unique_ptr<World> open_world(std::size_t ranks) override {
    return host_backend().open({.ranks = ranks, .place = {}, .settings = {}});
  }

 private:
  std::list<std::vector<std::byte>> buffers_;
};

}  // namespace

std::unique_ptr<OwnMemory> own_memory(std::string_view transport) {
  if (!transport.empty() && transport != "host") {
    throw InputError("transport", "memory of the host is moved by `host`");
  }
  return std::make_unique<HostMemory>();
}
