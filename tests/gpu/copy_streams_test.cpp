// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/copy_streams.hpp"

#include <cstdio>
#include <functional>

#include "moeshift/execute_cuda/cuda_check.hpp"
#include "moeshift/execute_cuda/handles.hpp"

#include "gpu_support.hpp"
#include "test_kernels.hpp"

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

/// Copies 64 MiB by `copy` while a kernel holds every multiprocessor; true when it got through.
bool passes_beside_busy_kernel(
    const std::function<void(std::byte* to, const std::byte* from, Bytes, cudaStream_t)>& copy) {
  const Bytes bytes(std::int64_t{64} << 20U);
  const DeviceBuffer from = allocate_device(bytes);
  const DeviceBuffer to = allocate_device(bytes);
  const PinnedBuffer flag = allocate_pinned(Bytes(64));
  auto* const stop = static_cast<volatile int*>(flag.get());
  const Stream busy = make_stream();
  const Stream stream = make_stream();
  const auto start = [&] {
    copy(static_cast<std::byte*>(to.get()), static_cast<const std::byte*>(from.get()), bytes,
         stream.get());
  };
  // Once without the crowd, so that nothing is loaded for the first time beside it.
  start();
  *stop = 1;
  test::launch_busy_kernel(stop, busy.get());
  check(cudaDeviceSynchronize());

  *stop = 0;
  test::launch_busy_kernel(stop, busy.get());
  check(cudaGetLastError());
  start();
  const Deadline deadline = Deadline::in(Seconds(2.0));
  bool done = false;
  while (!done && !deadline.expired()) done = finished(stream.get());
  const bool still_busy = !finished(busy.get());
  *stop = 1;
  check(cudaDeviceSynchronize());
  return done && still_busy;
}

// The point of the ce transport: a model's kernels can hold every multiprocessor meanwhile.
// Not under the sanitizers, which run kernels and copies one after another.
TEST_CASE("copies finish while a kernel holds every multiprocessor", "[gpu][side-by-side]") {
  test::require_gpu();
  const auto by = [](CopyPath path) {
    return [path](std::byte* to, const std::byte* from, Bytes bytes, cudaStream_t stream) {
      enqueue_copies(std::vector<CopyRequest>{{from, to, bytes}}, path, stream);
    };
  };
  const bool driver = passes_beside_busy_kernel(by(CopyPath::kDriver));
  const bool engine = passes_beside_busy_kernel(by(CopyPath::kCopyEngine));
  const bool peer = passes_beside_busy_kernel(
      [](std::byte* to, const std::byte* from, Bytes bytes, cudaStream_t stream) {
        check(cudaMemcpyPeerAsync(to, 0, from, 0, static_cast<std::size_t>(bytes.count()), stream));
      });
  const bool rows = passes_beside_busy_kernel([](std::byte* to, const std::byte* from, Bytes bytes,
                                                 cudaStream_t stream) {
    const auto width = static_cast<std::size_t>(bytes.count() / 64);
    check(cudaMemcpy2DAsync(to, width, from, width, width, 64, cudaMemcpyDeviceToDevice, stream));
  });
  std::printf("beside a full GPU: driver %d, copy-engine hint %d, peer %d, rows %d\n", driver,
              engine, peer, rows);
  REQUIRE(engine);
}

}  // namespace
}  // namespace moeshift
