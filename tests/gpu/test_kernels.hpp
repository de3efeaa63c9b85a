// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

namespace moeshift::test {

/// Holds every multiprocessor of the device, whole, until *stop is not 0. `stop` is host memory
/// that the device can read.
void launch_busy_kernel(const volatile int* stop, cudaStream_t stream);

/// Writes one byte past `bytes` bytes at `data`.
void launch_stray_write(unsigned char* data, unsigned long long bytes, cudaStream_t stream);

}  // namespace moeshift::test
