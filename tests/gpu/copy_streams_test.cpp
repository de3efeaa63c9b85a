// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/memory/copy_streams.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

#include "moeshift/execute_cuda/kernels/cuda_check.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

#include "gpu_support.hpp"
#include "test_kernels.hpp"

namespace moeshift {
namespace {

const DeviceRuntime& runtime() {
  return *cuda_platform().runtime;
}

bool idle(const Stream& stream) {
  const cudaError_t state = cudaStreamQuery(static_cast<cudaStream_t>(stream.get()));
  if (state == cudaErrorNotReady) return false;
  check(state);
  return true;
}

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

/// Copies that a kernel has to cut, join in one launch or take byte by byte.
std::vector<CopyRequest> uneven_copies(std::byte* from, std::byte* to, std::size_t count) {
  std::vector<CopyRequest> copies;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes bytes(i % 50 == 7 ? 1000000 : static_cast<std::int64_t>(1 + i * 37 % 9000));
    copies.push_back({from + offset, to + offset, bytes});
    offset += bytes.count() + (i % 3 == 0 ? 0 : 16);
  }
  return copies;
}

TEST_CASE("a kernel copies every byte of many uneven copies and no other", "[ce][gpu]") {
  test::require_gpu();
  const Bytes bytes(std::int64_t{16} << 20U);
  const auto size = static_cast<std::size_t>(bytes.count());
  const DeviceBuffer from = allocate_device(runtime(), bytes);
  const DeviceBuffer to = allocate_device(runtime(), bytes);
  std::vector<std::byte> source(size);
  for (std::size_t i = 0; i < size; ++i) source[i] = static_cast<std::byte>(i * 2654435761U >> 11U);
  std::vector<std::byte> expected(size, std::byte{0xEE});
  check(cudaMemcpy(from.get(), source.data(), size, cudaMemcpyHostToDevice));
  check(cudaMemcpy(to.get(), expected.data(), size, cudaMemcpyHostToDevice));

  auto* const start = static_cast<std::byte*>(to.get());
  const auto copies = uneven_copies(static_cast<std::byte*>(from.get()), start, 500);
  CopyStreams lane(cuda_platform(), 1, CopyPath::kKernel, false, 32);
  const auto pending = lane.start(copies);
  while (!pending->poll()) {
  }

  std::vector<std::byte> found(size);
  check(cudaMemcpy(found.data(), to.get(), size, cudaMemcpyDeviceToHost));
  for (const CopyRequest& copy : copies) {
    const std::ptrdiff_t offset = copy.to - start;
    std::copy_n(source.begin() + offset, copy.bytes.count(), expected.begin() + offset);
  }
  REQUIRE(found == expected);
}

using Copy = std::function<void(std::byte* to, const std::byte* from, Bytes, DeviceStream)>;

DeviceBuffer allocate_on(int device, Bytes bytes) {
  check(cudaSetDevice(device));
  DeviceBuffer buffer = allocate_device(runtime(), bytes);
  check(cudaSetDevice(0));
  return buffer;
}

/// Copies 64 MiB from `device` to GPU 0 while a kernel holds every multiprocessor of GPU 0; true
/// when it got through.
bool passes_beside_busy_kernel(int device, const Copy& copy) {
  const Bytes bytes(std::int64_t{64} << 20U);
  const DeviceBuffer from = allocate_on(device, bytes);
  const DeviceBuffer to = allocate_on(0, bytes);
  const PinnedBuffer flag = allocate_pinned(runtime(), Bytes(64));
  auto* const stop = static_cast<volatile int*>(flag.get());
  const Stream busy = make_stream(runtime());
  const Stream stream = make_stream(runtime());
  const auto start = [&] {
    copy(static_cast<std::byte*>(to.get()), static_cast<const std::byte*>(from.get()), bytes,
         stream.get());
  };
  // Once without the crowd, so that nothing is loaded for the first time beside it.
  start();
  *stop = 1;
  test::launch_busy_kernel(stop, static_cast<cudaStream_t>(busy.get()));
  check(cudaDeviceSynchronize());

  *stop = 0;
  test::launch_busy_kernel(stop, static_cast<cudaStream_t>(busy.get()));
  check(cudaGetLastError());
  start();
  const Deadline deadline = Deadline::in(Seconds(2.0));
  bool done = false;
  while (!done && !deadline.expired()) done = idle(stream);
  const bool still_busy = !idle(busy);
  *stop = 1;
  check(cudaDeviceSynchronize());
  return done && still_busy;
}

Copy by(CopyPath path) {
  return [path](std::byte* to, const std::byte* from, Bytes bytes, DeviceStream stream) {
    runtime().copy_all(std::vector<CopyRequest>{{from, to, bytes}}, path == CopyPath::kCopyEngine,
                       stream);
  };
}

// What the ce transport is for. Hidden, to be asked for by its tag: it cannot hold under the
// sanitizers, which run one thing after another.
TEST_CASE("copies from another GPU finish while a kernel holds every multiprocessor",
          "[.][side-by-side]") {
  test::require_gpu();
  std::printf("beside a full GPU, within it: driver %d, copy-engine hint %d\n",
              passes_beside_busy_kernel(0, by(CopyPath::kDriver)),
              passes_beside_busy_kernel(0, by(CopyPath::kCopyEngine)));
  int gpus = 0;
  check(cudaGetDeviceCount(&gpus));
  if (gpus < 2) test::skip("one GPU here");
  check(cudaDeviceEnablePeerAccess(1, 0));
  REQUIRE(passes_beside_busy_kernel(1, by(CopyPath::kCopyEngine)));
}

}  // namespace
}  // namespace moeshift
