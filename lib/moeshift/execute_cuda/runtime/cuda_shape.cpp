// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/runtime/cuda_shape.hpp"

#include <array>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/runtime/shared_library.hpp"

namespace moeshift {
namespace {

// Numbers of both interfaces.
constexpr int kSuccess = 0;
constexpr int kOutOfMemory = 2;
constexpr int kNotReady = 600;
constexpr unsigned kStreamNonBlocking = 1;
constexpr unsigned kEventDisableTiming = 2;
constexpr unsigned kHostPortable = 1;
constexpr unsigned kIpcLazyPeerAccess = 1;
constexpr int kHostToDevice = 1;
constexpr int kDeviceToHost = 2;
constexpr int kDeviceToDevice = 3;
constexpr int kByAddress = 4;

int number_of(CopyKind kind) {
  constexpr std::array kNumbers = {kHostToDevice, kDeviceToHost, kDeviceToDevice, kByAddress};
  return kNumbers[static_cast<std::size_t>(kind)];
}

/// CUDA's numbers: 13000 is 13.0. HIP's are larger: 60032831 is 6.0.32831.
std::string version_text(int code) {
  if (code >= 10'000'000) return fmt::format("{}.{}", code / 10'000'000, code / 100'000 % 100);
  return fmt::format("{}.{}", code / 1000, code % 1000 / 10);
}

}  // namespace

CudaShapeRuntime::CudaShapeRuntime(std::string name, const CudaShape& calls, std::string missing)
    : name_(std::move(name)), calls_(calls), missing_(std::move(missing)) {}

void CudaShapeRuntime::check(int result, std::string_view call) const {
  if (result == kSuccess) return;
  (void)calls_.last_error();
  throw DeviceError(fmt::format("{}: {} ({})", name_, calls_.error_text(result), call));
}

std::string CudaShapeRuntime::unavailable_reason() const {
  if (!missing_.empty()) return missing_;
  int devices = 0;
  const int result = calls_.device_count(&devices);
  if (result != kSuccess) {
    (void)calls_.last_error();
    return std::string("no usable GPU: ") + calls_.error_text(result);
  }
  return devices == 0 ? "this machine has no GPU" : "";
}

std::size_t CudaShapeRuntime::visible_devices() const {
  if (!missing_.empty()) return 0;
  int devices = 0;
  if (calls_.device_count(&devices) != kSuccess) {
    (void)calls_.last_error();
    return 0;
  }
  return static_cast<std::size_t>(devices);
}

Facts CudaShapeRuntime::versions() const {
  int driver = 0;
  int runtime = 0;
  check(calls_.driver_version(&driver), "DriverGetVersion");
  check(calls_.runtime_version(&runtime), "RuntimeGetVersion");
  const std::string prefix = name_ == "HIP" ? "hip" : "cuda";
  return {{prefix + "_driver", version_text(driver)}, {prefix + "_runtime", version_text(runtime)}};
}

std::string CudaShapeRuntime::device_name(DeviceId device) const {
  std::array<char, 256> text{};
  check(calls_.device_name(text.data(), static_cast<int>(text.size()) - 1, device.ordinal),
        "device name");
  return text.data();
}

Facts CudaShapeRuntime::device_facts(DeviceId device) const {
  Facts facts = {{"device", fmt::format("{} {}", device.ordinal, device_name(device))},
                 {"device_memory", fmt::format("{}", memory().total)},
                 {"device_pci", place_of(device)}};
  int count = 0;
  if (calls_.multiprocessors != nullptr &&
      calls_.multiprocessors(&count, device.ordinal) == kSuccess) {
    facts.emplace_back("multiprocessors", std::to_string(count));
  }
  return facts;
}

std::string CudaShapeRuntime::place_of(DeviceId device) const {
  std::array<char, 32> place{};
  check(calls_.pci_bus_id(place.data(), static_cast<int>(place.size()), device.ordinal),
        "DeviceGetPCIBusId");
  return place.data();
}

DeviceId CudaShapeRuntime::device_at(const std::string& place) const {
  int device = 0;
  check(calls_.device_by_pci_bus_id(&device, place.c_str()), "DeviceGetByPCIBusId");
  return {device};
}

void CudaShapeRuntime::bind(DeviceId device) const {
  check(calls_.set_device(device.ordinal), "SetDevice");
}

DeviceBytes CudaShapeRuntime::memory() const {
  DeviceBytes bytes;
  check(calls_.memory_info(&bytes.free, &bytes.total), "MemGetInfo");
  return bytes;
}

bool CudaShapeRuntime::reaches(DeviceId own, DeviceId peer) const {
  int possible = 0;
  check(calls_.can_access_peer(&possible, own.ordinal, peer.ordinal), "DeviceCanAccessPeer");
  return possible != 0;
}

void CudaShapeRuntime::allow_access_to(DeviceId peer) const {
  check(calls_.enable_peer_access(peer.ordinal, 0), "DeviceEnablePeerAccess");
}

void* CudaShapeRuntime::allocate(std::size_t bytes) const {
  void* start = nullptr;
  const int result = calls_.allocate(&start, bytes);
  if (result == kOutOfMemory) {
    (void)calls_.last_error();
    return nullptr;
  }
  check(result, "Malloc");
  return start;
}

void* CudaShapeRuntime::allocate_pinned(std::size_t bytes) const {
  void* start = nullptr;
  check(calls_.host_allocate(&start, bytes, kHostPortable), "HostAlloc");
  return start;
}

void* CudaShapeRuntime::allocate_on(std::size_t bytes, DeviceStream stream) const {
  void* start = nullptr;
  check(calls_.allocate_async(&start, bytes, stream), "MallocAsync");
  return start;
}

MemoryTicket CudaShapeRuntime::share(void* start) const {
  MemoryTicket ticket;
  check(calls_.ipc_get(&ticket, start), "IpcGetMemHandle");
  return ticket;
}

void* CudaShapeRuntime::map(const MemoryTicket& ticket) const {
  void* start = nullptr;
  check(calls_.ipc_open(&start, ticket, kIpcLazyPeerAccess), "IpcOpenMemHandle");
  return start;
}

DeviceStream CudaShapeRuntime::create_stream(bool high_priority) const {
  int least = 0;
  int greatest = 0;
  check(calls_.priority_range(&least, &greatest), "DeviceGetStreamPriorityRange");
  void* stream = nullptr;
  check(calls_.stream_create(&stream, kStreamNonBlocking, high_priority ? greatest : least),
        "StreamCreateWithPriority");
  return stream;
}

DeviceEvent CudaShapeRuntime::create_event(EventKind kind) const {
  void* event = nullptr;
  check(calls_.event_create(&event, kind == EventKind::kTiming ? 0 : kEventDisableTiming),
        "EventCreateWithFlags");
  return event;
}

void CudaShapeRuntime::record(DeviceEvent event, DeviceStream stream) const {
  check(calls_.event_record(event, stream), "EventRecord");
}

bool CudaShapeRuntime::passed(DeviceEvent event) const {
  const int state = calls_.event_query(event);
  if (state == kNotReady) return false;
  check(state, "EventQuery");
  return true;
}

bool CudaShapeRuntime::idle(DeviceStream stream) const {
  const int state = calls_.stream_query(stream);
  if (state == kNotReady) return false;
  check(state, "StreamQuery");
  return true;
}

void CudaShapeRuntime::synchronize(DeviceStream stream) const {
  check(calls_.stream_synchronize(stream), "StreamSynchronize");
}

Seconds CudaShapeRuntime::elapsed(DeviceEvent from, DeviceEvent to) const {
  float milliseconds = 0;
  check(calls_.event_elapsed(&milliseconds, from, to), "EventElapsedTime");
  return Seconds(static_cast<double>(milliseconds) * 1e-3);
}

void CudaShapeRuntime::copy(void* to, const void* from, std::size_t bytes, CopyKind kind,
                            DeviceStream stream) const {
  check(calls_.copy_async(to, from, bytes, number_of(kind), stream), "MemcpyAsync");
}

void CudaShapeRuntime::copy_all(std::span<const CopyRequest> copies, bool engines,
                                DeviceStream stream) const {
  if (calls_.copy_batch != nullptr) {
    check(calls_.copy_batch(copies, engines, stream), "MemcpyBatchAsync");
    return;
  }
  for (const CopyRequest& item : copies) {
    copy(item.to, item.from, static_cast<std::size_t>(item.bytes.count()), CopyKind::kAny, stream);
  }
}

void CudaShapeRuntime::set(void* start, int value, std::size_t bytes, DeviceStream stream) const {
  check(calls_.set_async(start, value, bytes, stream), "MemsetAsync");
}

bool CudaShapeRuntime::write_word(DeviceStream stream, std::uint64_t* word,
                                  std::uint64_t value) const {
  return calls_.write_value != nullptr && calls_.write_value(stream, word, value, 0) == kSuccess;
}

std::uint64_t CudaShapeRuntime::range_begin(const std::string& name) const {
  return calls_.range_begin == nullptr ? 0 : calls_.range_begin(name.c_str());
}

void CudaShapeRuntime::range_end(std::uint64_t range) const {
  if (calls_.range_end != nullptr) calls_.range_end(range);
}

std::unique_ptr<DeviceRuntime> load_cuda_shape(std::string name, const std::string& prefix,
                                               std::span<const std::string> names) {
  SharedLibrary library(names);
  CudaShape calls;
  const auto find = [&](auto*& function, const char* called) {
    library.find(function, prefix + called);
  };
  find(calls.device_count, "GetDeviceCount");
  find(calls.set_device, "SetDevice");
  find(calls.driver_version, "DriverGetVersion");
  find(calls.runtime_version, "RuntimeGetVersion");
  find(calls.device_name, "DeviceGetName");
  find(calls.pci_bus_id, "DeviceGetPCIBusId");
  find(calls.device_by_pci_bus_id, "DeviceGetByPCIBusId");
  find(calls.can_access_peer, "DeviceCanAccessPeer");
  find(calls.enable_peer_access, "DeviceEnablePeerAccess");
  find(calls.memory_info, "MemGetInfo");
  find(calls.allocate, "Malloc");
  find(calls.free, "Free");
  find(calls.host_allocate, prefix == "hip" ? "HostMalloc" : "HostAlloc");
  find(calls.host_free, prefix == "hip" ? "HostFree" : "FreeHost");
  find(calls.allocate_async, "MallocAsync");
  find(calls.free_async, "FreeAsync");
  find(calls.ipc_get, "IpcGetMemHandle");
  find(calls.ipc_open, "IpcOpenMemHandle");
  find(calls.ipc_close, "IpcCloseMemHandle");
  find(calls.priority_range, "DeviceGetStreamPriorityRange");
  find(calls.stream_create, "StreamCreateWithPriority");
  find(calls.stream_destroy, "StreamDestroy");
  find(calls.stream_query, "StreamQuery");
  find(calls.stream_synchronize, "StreamSynchronize");
  find(calls.event_create, "EventCreateWithFlags");
  find(calls.event_destroy, "EventDestroy");
  find(calls.event_record, "EventRecord");
  find(calls.event_query, "EventQuery");
  find(calls.event_elapsed, "EventElapsedTime");
  find(calls.copy_async, "MemcpyAsync");
  find(calls.set_async, "MemsetAsync");
  find(calls.last_error, "GetLastError");
  find(calls.error_text, "GetErrorString");
  library.find_if_there(calls.write_value, prefix + "StreamWriteValue64");
  return std::make_unique<CudaShapeRuntime>(std::move(name), calls, library.missing());
}

}  // namespace moeshift
