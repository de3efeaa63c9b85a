// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/runtime/linked_cuda.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>
#include <nvtx3/nvToolsExt.h>

namespace moeshift {
namespace {

cudaStream_t stream_of(void* stream) {
  return static_cast<cudaStream_t>(stream);
}
cudaEvent_t event_of(void* event) {
  return static_cast<cudaEvent_t>(event);
}

int device_name(char* name, int size, int device) {
  cudaDeviceProp properties{};
  const cudaError_t result = cudaGetDeviceProperties(&properties, device);
  if (result != cudaSuccess) return result;
  const std::string_view text(properties.name);
  const std::size_t length = std::min(text.size(), static_cast<std::size_t>(size) - 1);
  std::memcpy(name, text.data(), length);
  name[length] = '\0';
  return cudaSuccess;
}

int ipc_get(MemoryTicket* ticket, void* start) {
  cudaIpcMemHandle_t handle{};
  static_assert(sizeof handle == sizeof ticket->bytes);
  const cudaError_t result = cudaIpcGetMemHandle(&handle, start);
  std::memcpy(ticket->bytes.data(), &handle, sizeof handle);
  return result;
}

int ipc_open(void** start, MemoryTicket ticket, unsigned flags) {
  cudaIpcMemHandle_t handle{};
  std::memcpy(&handle, ticket.bytes.data(), sizeof handle);
  return cudaIpcOpenMemHandle(start, handle, flags);
}

using WriteValue = PFN_cuStreamWriteValue64_v11070;

/// The driver's call, which this program does not link so that it starts without a driver; null
/// where there is none.
WriteValue driver_write_value() {
  static const WriteValue call = [] {
    void* address = nullptr;
    cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
    const cudaError_t result = cudaGetDriverEntryPointByVersion("cuStreamWriteValue64", &address,
                                                                11070, cudaEnableDefault, &found);
#else
    const cudaError_t result =
        cudaGetDriverEntryPoint("cuStreamWriteValue64", &address, cudaEnableDefault, &found);
#endif
    const bool there = result == cudaSuccess && found == cudaDriverEntryPointSuccess;
    return there ? reinterpret_cast<WriteValue>(address) : nullptr;
  }();
  return call;
}

int write_value(void* stream, void* word, std::uint64_t value, unsigned /*flags*/) {
  const WriteValue call = driver_write_value();
  if (call == nullptr) return cudaErrorNotSupported;
  return call(stream_of(stream), reinterpret_cast<CUdeviceptr>(word), value,
              CU_STREAM_WRITE_VALUE_DEFAULT);
}

nvtxDomainHandle_t profiler_domain() {
  static const nvtxDomainHandle_t domain = nvtxDomainCreateA("moeshift");
  return domain;
}

std::uint64_t range_begin(const char* name) {
  nvtxEventAttributes_t attributes{};
  attributes.version = NVTX_VERSION;
  attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  attributes.messageType = NVTX_MESSAGE_TYPE_ASCII;
  attributes.message.ascii = name;
  return nvtxDomainRangeStartEx(profiler_domain(), &attributes);
}

void range_end(std::uint64_t range) {
  nvtxDomainRangeEnd(profiler_domain(), range);
}

using Size = std::size_t;

/// The functions themselves where their types are plain, and one line around them where not.
CudaShape linked_calls() {
  CudaShape calls;
  calls.device_count = [](int* count) -> int { return cudaGetDeviceCount(count); };
  calls.set_device = [](int device) -> int { return cudaSetDevice(device); };
  calls.driver_version = [](int* version) -> int { return cudaDriverGetVersion(version); };
  calls.runtime_version = [](int* version) -> int { return cudaRuntimeGetVersion(version); };
  calls.device_name = &device_name;
  calls.pci_bus_id = [](char* place, int size, int device) -> int {
    return cudaDeviceGetPCIBusId(place, size, device);
  };
  calls.device_by_pci_bus_id = [](int* device, const char* place) -> int {
    return cudaDeviceGetByPCIBusId(device, place);
  };
  calls.can_access_peer = [](int* possible, int device, int peer) -> int {
    return cudaDeviceCanAccessPeer(possible, device, peer);
  };
  calls.enable_peer_access = [](int peer, unsigned flags) -> int {
    return cudaDeviceEnablePeerAccess(peer, flags);
  };
  calls.memory_info = [](Size* free, Size* total) -> int { return cudaMemGetInfo(free, total); };
  calls.allocate = [](void** start, Size bytes) -> int { return cudaMalloc(start, bytes); };
  calls.free = [](void* start) -> int { return cudaFree(start); };
  calls.host_allocate = [](void** start, Size bytes, unsigned flags) -> int {
    return cudaHostAlloc(start, bytes, flags);
  };
  calls.host_free = [](void* start) -> int { return cudaFreeHost(start); };
  calls.allocate_async = [](void** start, Size bytes, void* stream) -> int {
    return cudaMallocAsync(start, bytes, stream_of(stream));
  };
  calls.free_async = [](void* start, void* stream) -> int {
    return cudaFreeAsync(start, stream_of(stream));
  };
  calls.ipc_get = &ipc_get;
  calls.ipc_open = &ipc_open;
  calls.ipc_close = [](void* start) -> int { return cudaIpcCloseMemHandle(start); };
  calls.priority_range = [](int* least, int* greatest) -> int {
    return cudaDeviceGetStreamPriorityRange(least, greatest);
  };
  calls.stream_create = [](void** stream, unsigned flags, int priority) -> int {
    cudaStream_t made = nullptr;
    const cudaError_t result = cudaStreamCreateWithPriority(&made, flags, priority);
    *stream = made;
    return result;
  };
  calls.stream_destroy = [](void* stream) -> int { return cudaStreamDestroy(stream_of(stream)); };
  calls.stream_query = [](void* stream) -> int { return cudaStreamQuery(stream_of(stream)); };
  calls.stream_synchronize = [](void* stream) -> int {
    return cudaStreamSynchronize(stream_of(stream));
  };
  calls.event_create = [](void** event, unsigned flags) -> int {
    cudaEvent_t made = nullptr;
    const cudaError_t result = cudaEventCreateWithFlags(&made, flags);
    *event = made;
    return result;
  };
  calls.event_destroy = [](void* event) -> int { return cudaEventDestroy(event_of(event)); };
  calls.event_record = [](void* event, void* stream) -> int {
    return cudaEventRecord(event_of(event), stream_of(stream));
  };
  calls.event_query = [](void* event) -> int { return cudaEventQuery(event_of(event)); };
  calls.event_elapsed = [](float* milliseconds, void* from, void* to) -> int {
    return cudaEventElapsedTime(milliseconds, event_of(from), event_of(to));
  };
  calls.copy_async = [](void* to, const void* from, Size bytes, int kind, void* stream) -> int {
    return cudaMemcpyAsync(to, from, bytes, static_cast<cudaMemcpyKind>(kind), stream_of(stream));
  };
  calls.set_async = [](void* start, int value, Size bytes, void* stream) -> int {
    return cudaMemsetAsync(start, value, bytes, stream_of(stream));
  };
  calls.last_error = []() -> int { return cudaGetLastError(); };
  calls.error_text = [](int code) { return cudaGetErrorString(static_cast<cudaError_t>(code)); };
  calls.copy_batch = linked_copy_batch();
  calls.write_value = &write_value;
  calls.multiprocessors = [](int* count, int device) -> int {
    return cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device);
  };
  calls.range_begin = &range_begin;
  calls.range_end = &range_end;
  return calls;
}

}  // namespace

const DeviceRuntime& linked_cuda() {
  static const CudaShapeRuntime runtime("CUDA", linked_calls());
  return runtime;
}

}  // namespace moeshift
