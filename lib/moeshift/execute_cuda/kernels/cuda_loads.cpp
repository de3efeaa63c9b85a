// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/kernels/cuda_loads.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/execute_cuda/kernels/load_kernels.hpp"
#include "moeshift/execute_cuda/runtime/linked_cuda.hpp"
#include "moeshift/execute_cuda/runtime/stream_pending.hpp"

namespace moeshift {
namespace {

constexpr std::uint32_t kTrialWaves = 16;
constexpr Bytes kSwept(std::int64_t{1} << 30U);  // an L2 cache has 50 to 130 MB

/// A step like `enqueue` on an idle stream, timed.
Seconds time_of(const CudaForeground::Enqueue& enqueue) {
  const Stream stream = make_stream(linked_cuda());
  const Event begin = make_timing_event(linked_cuda());
  const Event end = make_timing_event(linked_cuda());
  enqueue(stream.get());  // loads the kernel
  linked_cuda().record(begin.get(), stream.get());
  enqueue(stream.get());
  linked_cuda().record(end.get(), stream.get());
  linked_cuda().synchronize(stream.get());
  return linked_cuda().elapsed(begin.get(), end.get());
}

}  // namespace

CudaForeground::CudaForeground(Enqueue enqueue)
    : stream_(make_stream(linked_cuda())),
      begin_(make_timing_event(linked_cuda())),
      end_(make_timing_event(linked_cuda())),
      enqueue_(std::move(enqueue)) {}

std::unique_ptr<Pending> CudaForeground::start_step() {
  linked_cuda().record(begin_.get(), stream_.get());
  enqueue_(stream_.get());
  linked_cuda().record(end_.get(), stream_.get());
  return std::make_unique<StreamPending>(linked_cuda(), stream_.get());
}

Seconds CudaForeground::last_step() const {
  return linked_cuda().elapsed(begin_.get(), end_.get());
}

std::unique_ptr<Foreground> make_compute_foreground(Seconds step) {
  const auto sink = std::make_shared<DeviceBuffer>(allocate_device(linked_cuda(), Bytes(256)));
  const auto step_of = [sink](std::uint32_t waves) {
    return [sink, waves](DeviceStream stream) {
      launch_products(waves, static_cast<float*>(sink->get()), static_cast<cudaStream_t>(stream));
    };
  };
  const double waves = ratio(step, time_of(step_of(kTrialWaves))) * kTrialWaves;
  return std::make_unique<CudaForeground>(
      step_of(static_cast<std::uint32_t>(std::max(waves, 1.0))));
}

std::unique_ptr<Foreground> make_memory_foreground(Seconds step) {
  const auto block = std::make_shared<DeviceBuffer>(allocate_device(linked_cuda(), kSwept));
  const auto sweep = [block](DeviceStream stream) {
    launch_sweep(static_cast<std::byte*>(block->get()), static_cast<std::uint64_t>(kSwept.count()),
                 static_cast<cudaStream_t>(stream));
  };
  const double times = std::max(ratio(step, time_of(sweep)), 1.0);
  return std::make_unique<CudaForeground>([sweep, times](DeviceStream stream) {
    for (double sweeps = 0; sweeps < times; ++sweeps) sweep(stream);
  });
}

}  // namespace moeshift
