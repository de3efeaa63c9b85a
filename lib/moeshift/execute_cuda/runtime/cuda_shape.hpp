// SPDX-License-Identifier: Apache-2.0
// The CUDA run time's calls, and HIP's, which have the same shape and the same numbers under other
// names: linked (cuda_platform.cpp) or loaded when first needed.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "moeshift/execute_cuda/runtime/device_runtime.hpp"

namespace moeshift {

/// Pointers to functions in the C interface's own order of arguments; every result is an error
/// code.
struct CudaShape {
  int (*device_count)(int* count) = nullptr;
  int (*set_device)(int device) = nullptr;
  int (*driver_version)(int* version) = nullptr;
  int (*runtime_version)(int* version) = nullptr;
  int (*device_name)(char* name, int size, int device) = nullptr;
  int (*pci_bus_id)(char* place, int size, int device) = nullptr;
  int (*device_by_pci_bus_id)(int* device, const char* place) = nullptr;
  int (*can_access_peer)(int* possible, int device, int peer) = nullptr;
  int (*enable_peer_access)(int peer, unsigned flags) = nullptr;
  int (*memory_info)(std::size_t* free, std::size_t* total) = nullptr;
  int (*allocate)(void** start, std::size_t bytes) = nullptr;
  int (*free)(void* start) = nullptr;
  int (*host_allocate)(void** start, std::size_t bytes, unsigned flags) = nullptr;
  int (*host_free)(void* start) = nullptr;
  int (*allocate_async)(void** start, std::size_t bytes, void* stream) = nullptr;
  int (*free_async)(void* start, void* stream) = nullptr;
  int (*ipc_get)(MemoryTicket* ticket, void* start) = nullptr;
  int (*ipc_open)(void** start, MemoryTicket ticket, unsigned flags) = nullptr;
  int (*ipc_close)(void* start) = nullptr;
  int (*priority_range)(int* least, int* greatest) = nullptr;
  int (*stream_create)(void** stream, unsigned flags, int priority) = nullptr;
  int (*stream_destroy)(void* stream) = nullptr;
  int (*stream_query)(void* stream) = nullptr;
  int (*stream_synchronize)(void* stream) = nullptr;
  int (*event_create)(void** event, unsigned flags) = nullptr;
  int (*event_destroy)(void* event) = nullptr;
  int (*event_record)(void* event, void* stream) = nullptr;
  int (*event_query)(void* event) = nullptr;
  int (*event_elapsed)(float* milliseconds, void* from, void* to) = nullptr;
  int (*copy_async)(void* to, const void* from, std::size_t bytes, int kind,
                    void* stream) = nullptr;
  int (*set_async)(void* start, int value, std::size_t bytes, void* stream) = nullptr;
  int (*last_error)() = nullptr;
  const char* (*error_text)(int code) = nullptr;
  // What not every version has; null then.
  int (*copy_batch)(std::span<const CopyRequest> copies, bool engines, void* stream) = nullptr;
  int (*write_value)(void* stream, void* word, std::uint64_t value, unsigned flags) = nullptr;
  int (*multiprocessors)(int* count, int device) = nullptr;
  std::uint64_t (*range_begin)(const char* name) = nullptr;
  void (*range_end)(std::uint64_t range) = nullptr;
};

class CudaShapeRuntime final : public DeviceRuntime {
 public:
  /// @param name "CUDA" or "HIP"
  /// @param missing why the calls cannot be made; empty: they can
  CudaShapeRuntime(std::string name, const CudaShape& calls, std::string missing = {});

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::string unavailable_reason() const override;
  [[nodiscard]] std::size_t visible_devices() const override;
  [[nodiscard]] Facts versions() const override;
  [[nodiscard]] std::string device_name(DeviceId device) const override;
  [[nodiscard]] Facts device_facts(DeviceId device) const override;
  [[nodiscard]] std::string place_of(DeviceId device) const override;
  [[nodiscard]] DeviceId device_at(const std::string& place) const override;
  void bind(DeviceId device) const override;
  [[nodiscard]] DeviceBytes memory() const override;
  [[nodiscard]] bool reaches(DeviceId own, DeviceId peer) const override;
  void allow_access_to(DeviceId peer) const override;
  [[nodiscard]] void* allocate(std::size_t bytes) const override;
  void free(void* start) const noexcept override { (void)calls_.free(start); }
  [[nodiscard]] void* allocate_pinned(std::size_t bytes) const override;
  void free_pinned(void* start) const noexcept override { (void)calls_.host_free(start); }
  [[nodiscard]] void* allocate_on(std::size_t bytes, DeviceStream stream) const override;
  void free_on(void* start, DeviceStream stream) const noexcept override {
    (void)calls_.free_async(start, stream);
  }
  [[nodiscard]] MemoryTicket share(void* start) const override;
  [[nodiscard]] void* map(const MemoryTicket& ticket) const override;
  void unmap(void* start) const noexcept override { (void)calls_.ipc_close(start); }
  [[nodiscard]] DeviceStream create_stream(bool high_priority) const override;
  void destroy_stream(DeviceStream stream) const noexcept override {
    (void)calls_.stream_destroy(stream);
  }
  [[nodiscard]] DeviceEvent create_event(EventKind kind) const override;
  void destroy_event(DeviceEvent event) const noexcept override {
    (void)calls_.event_destroy(event);
  }
  void record(DeviceEvent event, DeviceStream stream) const override;
  [[nodiscard]] bool passed(DeviceEvent event) const override;
  [[nodiscard]] bool idle(DeviceStream stream) const override;
  void synchronize(DeviceStream stream) const override;
  [[nodiscard]] Seconds elapsed(DeviceEvent from, DeviceEvent to) const override;
  void copy(void* to, const void* from, std::size_t bytes, CopyKind kind,
            DeviceStream stream) const override;
  void copy_all(std::span<const CopyRequest> copies, bool engines,
                DeviceStream stream) const override;
  void set(void* start, int value, std::size_t bytes, DeviceStream stream) const override;
  [[nodiscard]] bool write_word(DeviceStream stream, std::uint64_t* word,
                                std::uint64_t value) const override;
  [[nodiscard]] std::uint64_t range_begin(const std::string& name) const override;
  void range_end(std::uint64_t range) const override;

 private:
  /// @throws DeviceError that names the function, as "EventRecord"; clears a sticky error.
  void check(int result, std::string_view call) const;

  std::string name_;
  CudaShape calls_;
  std::string missing_;
};

/// Loads the functions called `prefix` ("cuda", "hip") and their CUDA names without "cuda".
/// @param names of the library, tried in turn
[[nodiscard]] std::unique_ptr<DeviceRuntime> load_cuda_shape(std::string name,
                                                             const std::string& prefix,
                                                             std::span<const std::string> names);

}  // namespace moeshift
