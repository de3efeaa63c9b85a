// SPDX-License-Identifier: Apache-2.0
#include "test_kernels.hpp"

namespace moeshift::test {
namespace {

// Two blocks of 1024 threads fill the 2048 thread slots of a multiprocessor: no other kernel can
// start anywhere on the device until they end.
__global__ void __launch_bounds__(1024, 2) busy_kernel(const volatile int* stop) {
  while (*stop == 0) {
    __nanosleep(1000);
  }
}

__global__ void stray_write_kernel(unsigned char* data, unsigned long long bytes) {
  data[bytes] = 1;
}

}  // namespace

void launch_busy_kernel(const volatile int* stop, cudaStream_t stream) {
  int device = 0;
  int multiprocessors = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  busy_kernel<<<2 * multiprocessors, 1024, 0, stream>>>(stop);
}

void launch_stray_write(unsigned char* data, unsigned long long bytes, cudaStream_t stream) {
  stray_write_kernel<<<1, 1, 0, stream>>>(data, bytes);
}

}  // namespace moeshift::test
