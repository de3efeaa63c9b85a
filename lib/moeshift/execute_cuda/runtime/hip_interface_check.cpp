// SPDX-License-Identifier: Apache-2.0
// Compiled where HIP's headers are found: the calls that CudaShape declares are HIP's, too.
#include <cstddef>
#include <type_traits>

#include <hip/hip_runtime_api.h>

#include "moeshift/execute_cuda/runtime/cuda_shape.hpp"

namespace moeshift {
namespace {

/// Passed alike: pointers as pointers, numbers and enumerations of a size, structures of a size.
template <class Ours, class Theirs>
constexpr bool passed_alike() {
  return sizeof(Ours) == sizeof(Theirs) && std::is_pointer_v<Ours> == std::is_pointer_v<Theirs> &&
         std::is_class_v<Ours> == std::is_class_v<Theirs> &&
         std::is_floating_point_v<Ours> == std::is_floating_point_v<Theirs>;
}

template <class Ours, class Theirs>
struct SameCall : std::false_type {};

template <class R, class... A, class S, class... B>
  requires(sizeof...(A) == sizeof...(B))
struct SameCall<R (*)(A...), S (*)(B...)>
    : std::bool_constant<passed_alike<R, S>() && (passed_alike<A, B>() && ...)> {};

template <auto CudaShape::* Ours, class Theirs>
constexpr bool is(Theirs*) {
  return SameCall<std::remove_cvref_t<decltype(std::declval<CudaShape>().*Ours)>, Theirs*>::value;
}

static_assert(is<&CudaShape::device_count>(&hipGetDeviceCount));
static_assert(is<&CudaShape::set_device>(&hipSetDevice));
static_assert(is<&CudaShape::driver_version>(&hipDriverGetVersion));
static_assert(is<&CudaShape::runtime_version>(&hipRuntimeGetVersion));
static_assert(is<&CudaShape::device_name>(&hipDeviceGetName));
static_assert(is<&CudaShape::pci_bus_id>(&hipDeviceGetPCIBusId));
static_assert(is<&CudaShape::device_by_pci_bus_id>(&hipDeviceGetByPCIBusId));
static_assert(is<&CudaShape::can_access_peer>(&hipDeviceCanAccessPeer));
static_assert(is<&CudaShape::enable_peer_access>(&hipDeviceEnablePeerAccess));
static_assert(is<&CudaShape::memory_info>(&hipMemGetInfo));
// Some have templates of the same name beside them.
static_assert(
    is<&CudaShape::allocate>(static_cast<hipError_t (*)(void**, std::size_t)>(&hipMalloc)));
static_assert(is<&CudaShape::free>(&hipFree));
static_assert(is<&CudaShape::host_allocate>(
    static_cast<hipError_t (*)(void**, std::size_t, unsigned)>(&hipHostMalloc)));
static_assert(is<&CudaShape::host_free>(&hipHostFree));
static_assert(is<&CudaShape::allocate_async>(
    static_cast<hipError_t (*)(void**, std::size_t, hipStream_t)>(&hipMallocAsync)));
static_assert(is<&CudaShape::free_async>(&hipFreeAsync));
static_assert(is<&CudaShape::ipc_get>(&hipIpcGetMemHandle));
static_assert(is<&CudaShape::ipc_open>(&hipIpcOpenMemHandle));
static_assert(is<&CudaShape::ipc_close>(&hipIpcCloseMemHandle));
static_assert(is<&CudaShape::priority_range>(&hipDeviceGetStreamPriorityRange));
static_assert(is<&CudaShape::stream_create>(&hipStreamCreateWithPriority));
static_assert(is<&CudaShape::stream_destroy>(&hipStreamDestroy));
static_assert(is<&CudaShape::stream_query>(&hipStreamQuery));
static_assert(is<&CudaShape::stream_synchronize>(&hipStreamSynchronize));
static_assert(is<&CudaShape::event_create>(&hipEventCreateWithFlags));
static_assert(is<&CudaShape::event_destroy>(&hipEventDestroy));
static_assert(is<&CudaShape::event_record>(
    static_cast<hipError_t (*)(hipEvent_t, hipStream_t)>(&hipEventRecord)));
static_assert(is<&CudaShape::event_query>(&hipEventQuery));
static_assert(is<&CudaShape::event_elapsed>(&hipEventElapsedTime));
static_assert(is<&CudaShape::copy_async>(&hipMemcpyAsync));
static_assert(is<&CudaShape::set_async>(&hipMemsetAsync));
static_assert(is<&CudaShape::last_error>(&hipGetLastError));
static_assert(is<&CudaShape::error_text>(&hipGetErrorString));
static_assert(is<&CudaShape::write_value>(&hipStreamWriteValue64));

// The numbers of cuda_shape.cpp.
static_assert(hipSuccess == 0 && hipErrorOutOfMemory == 2 && hipErrorNotReady == 600);
static_assert(hipStreamNonBlocking == 1 && hipEventDisableTiming == 2);
static_assert(hipHostMallocPortable == 1);
// 0 in ROCm 5, which reads no flags there; transports that map a peer's memory are CUDA's alone.
static_assert(hipIpcMemLazyEnablePeerAccess == 0 || hipIpcMemLazyEnablePeerAccess == 1);
static_assert(hipMemcpyHostToDevice == 1 && hipMemcpyDeviceToHost == 2);
static_assert(hipMemcpyDeviceToDevice == 3 && hipMemcpyDefault == 4);

}  // namespace
}  // namespace moeshift
