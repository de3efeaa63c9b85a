// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/cuda_foreground.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/execute_cuda/copy_streams.hpp"
#include "moeshift/execute_cuda/cuda_check.hpp"
#include "moeshift/execute_cuda/load_kernels.hpp"

namespace moeshift {
namespace {

constexpr std::uint32_t kTrialWaves = 16;
constexpr Bytes kSwept(std::int64_t{1} << 30U);  // an L2 cache has 50 to 130 MB

/// A step like `enqueue` on an idle stream, timed.
Seconds time_of(const CudaForeground::Enqueue& enqueue) {
  const Stream stream = make_stream();
  const Event begin = make_timing_event();
  const Event end = make_timing_event();
  enqueue(stream.get());  // loads the kernel
  check(cudaEventRecord(begin.get(), stream.get()));
  enqueue(stream.get());
  check(cudaEventRecord(end.get(), stream.get()));
  check(cudaStreamSynchronize(stream.get()));
  return elapsed(begin.get(), end.get());
}

}  // namespace

CudaForeground::CudaForeground(Enqueue enqueue)
    : stream_(make_stream()),
      begin_(make_timing_event()),
      end_(make_timing_event()),
      enqueue_(std::move(enqueue)) {}

std::unique_ptr<Pending> CudaForeground::start_step() {
  check(cudaEventRecord(begin_.get(), stream_.get()));
  enqueue_(stream_.get());
  check(cudaEventRecord(end_.get(), stream_.get()));
  return std::make_unique<StreamPending>(stream_.get());
}

Seconds CudaForeground::last_step() const {
  return elapsed(begin_.get(), end_.get());
}

std::unique_ptr<Foreground> make_compute_foreground(Seconds step) {
  const auto sink = std::make_shared<DeviceBuffer>(allocate_device(Bytes(256)));
  const auto step_of = [sink](std::uint32_t waves) {
    return [sink, waves](cudaStream_t stream) {
      launch_products(waves, static_cast<float*>(sink->get()), stream);
    };
  };
  const double waves = ratio(step, time_of(step_of(kTrialWaves))) * kTrialWaves;
  return std::make_unique<CudaForeground>(
      step_of(static_cast<std::uint32_t>(std::max(waves, 1.0))));
}

std::unique_ptr<Foreground> make_memory_foreground(Seconds step) {
  const auto block = std::make_shared<DeviceBuffer>(allocate_device(kSwept));
  const auto sweep = [block](cudaStream_t stream) {
    launch_sweep(static_cast<std::byte*>(block->get()), static_cast<std::uint64_t>(kSwept.count()),
                 stream);
  };
  const double times = std::max(ratio(step, time_of(sweep)), 1.0);
  return std::make_unique<CudaForeground>([sweep, times](cudaStream_t stream) {
    for (double sweeps = 0; sweeps < times; ++sweeps) sweep(stream);
  });
}

}  // namespace moeshift
