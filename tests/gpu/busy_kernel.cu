// SPDX-License-Identifier: Apache-2.0
#include "busy_kernel.hpp"

namespace moeshift::test {
namespace {

// Two blocks of 1024 threads fill the 2048 thread slots of a multiprocessor: no other kernel can
// start anywhere on the device until they end.
__global__ void __launch_bounds__(1024, 2) busy_kernel(const volatile int* stop) {
  while (*stop == 0) {
    __nanosleep(1000);
  }
}

}  // namespace

void launch_busy_kernel(const volatile int* stop, cudaStream_t stream) {
  int device = 0;
  int multiprocessors = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  busy_kernel<<<2 * multiprocessors, 1024, 0, stream>>>(stop);
}

}  // namespace moeshift::test
