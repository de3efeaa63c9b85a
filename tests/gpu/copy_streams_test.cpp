// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/copy_streams.hpp"

#include "moeshift/execute_cuda/cuda_check.hpp"
#include "moeshift/execute_cuda/handles.hpp"

#include "busy_kernel.hpp"
#include "gpu_support.hpp"

namespace moeshift {
namespace {

std::byte* at(std::uintptr_t address) {
  return reinterpret_cast<std::byte*>(address);
}

TEST_CASE("copies that continue each other on both sides become one", "[ce]") {
  const std::vector<CopyRequest> copies = {
      {at(4096 + 32), at(8192 + 32), Bytes(32)},
      {at(4096), at(8192), Bytes(32)},
      {at(4096 + 64), at(9000), Bytes(32)},
  };
  const std::vector<CopyRequest> runs = joined(copies);
  REQUIRE(runs.size() == 2);
  REQUIRE(runs[0].from == at(4096));
  REQUIRE(runs[0].to == at(8192));
  REQUIRE(runs[0].bytes == Bytes(64));
  REQUIRE(runs[1].to == at(9000));
}

TEST_CASE("no copies are joined out of none", "[ce]") {
  REQUIRE(joined({}).empty());
}

// The point of the ce transport: a model's kernels can hold every multiprocessor meanwhile.
TEST_CASE("copies finish while a kernel holds every multiprocessor", "[ce]") {
  test::require_gpu();
  const Bytes bytes(std::int64_t{64} << 20U);
  const DeviceBuffer from = allocate_device(bytes);
  const DeviceBuffer to = allocate_device(bytes);
  const PinnedBuffer flag = allocate_pinned(Bytes(64));
  auto* const stop = static_cast<volatile int*>(flag.get());
  *stop = 0;
  const Stream busy = make_stream();
  CopyStreams streams(2, CopyPath::kCopyEngine, false);
  test::launch_busy_kernel(stop, busy.get());
  check(cudaGetLastError());
  const std::unique_ptr<Pending> copies = streams.start(std::vector<CopyRequest>{
      {static_cast<const std::byte*>(from.get()), static_cast<std::byte*>(to.get()), bytes}});
  const Deadline deadline = Deadline::in(Seconds(5.0));
  bool done = false;
  while (!done && !deadline.expired()) done = copies->poll();
  const bool still_busy = !finished(busy.get());
  *stop = 1;
  check(cudaStreamSynchronize(busy.get()));
  REQUIRE(done);
  REQUIRE(still_busy);
}

}  // namespace
}  // namespace moeshift
