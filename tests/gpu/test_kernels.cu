// SPDX-License-Identifier: Apache-2.0
#include "test_kernels.hpp"

namespace moeshift::test {
namespace {

__device__ volatile int released = 0;

__global__ void hold_kernel() {
  released = 0;
}

// Two blocks of 1024 threads fill the 2048 thread slots of a multiprocessor: no other kernel can
// start anywhere on the device until they end. One thread alone looks at the host's word: if all
// did, their reads would fill the bus over which the copy engines get their orders.
__global__ void __launch_bounds__(1024, 2) busy_kernel(const volatile int* stop) {
  const bool looks = blockIdx.x == 0 && threadIdx.x == 0;
  while (released == 0) {
    __nanosleep(1000);
    if (looks && *stop != 0) released = 1;
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
  hold_kernel<<<1, 1, 0, stream>>>();
  busy_kernel<<<2 * multiprocessors, 1024, 0, stream>>>(stop);
}

void launch_stray_write(unsigned char* data, unsigned long long bytes, cudaStream_t stream) {
  stray_write_kernel<<<1, 1, 0, stream>>>(data, bytes);
}

}  // namespace moeshift::test
