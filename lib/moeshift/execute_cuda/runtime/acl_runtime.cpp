// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/runtime/acl_runtime.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/runtime/shared_library.hpp"

namespace moeshift {
namespace {

constexpr int kSuccess = 0;
constexpr int kInitialisedBefore = 100002;
constexpr int kOutOfMemory = 207001;
constexpr int kHighBandwidthMemory = 1;
constexpr int kHugePagesFirst = 0;
constexpr int kHostToDevice = 1;
constexpr int kDeviceToHost = 2;
constexpr int kDeviceToDevice = 3;
constexpr std::uint32_t kEventProgress = 2;
constexpr std::uint32_t kEventTimeLine = 8;
constexpr int kEventComplete = 1;
constexpr int kStreamComplete = 0;

struct AclCalls {
  int (*init)(const char* file) = nullptr;
  const char* (*recent_error)() = nullptr;
  const char* (*soc_name)() = nullptr;
  int (*version)(std::int32_t* major, std::int32_t* minor, std::int32_t* patch) = nullptr;
  int (*device_count)(std::uint32_t* count) = nullptr;
  int (*set_device)(std::int32_t device) = nullptr;
  int (*memory_info)(int attribute, std::size_t* free, std::size_t* total) = nullptr;
  int (*allocate)(void** start, std::size_t bytes, int policy) = nullptr;
  int (*free)(void* start) = nullptr;
  int (*host_allocate)(void** start, std::size_t bytes) = nullptr;
  int (*host_free)(void* start) = nullptr;
  int (*stream_create)(void** stream, std::uint32_t priority, std::uint32_t flag) = nullptr;
  int (*stream_destroy)(void* stream) = nullptr;
  int (*stream_query)(void* stream, int* status) = nullptr;
  int (*stream_synchronize)(void* stream) = nullptr;
  int (*event_create)(void** event, std::uint32_t flag) = nullptr;
  int (*event_destroy)(void* event) = nullptr;
  int (*event_record)(void* event, void* stream) = nullptr;
  int (*event_status)(void* event, int* status) = nullptr;
  int (*event_elapsed)(float* milliseconds, void* from, void* to) = nullptr;
  int (*copy)(void* to, std::size_t most, const void* from, std::size_t bytes, int kind,
              void* stream) = nullptr;
  int (*set)(void* start, std::size_t most, std::int32_t value, std::size_t bytes,
             void* stream) = nullptr;
};

class AclRuntime final : public DeviceRuntime {
 public:
  AclRuntime(const AclCalls& calls, std::string missing)
      : calls_(calls), missing_(std::move(missing)) {
    if (!missing_.empty()) return;
    const int result = calls_.init(nullptr);
    if (result != kSuccess && result != kInitialisedBefore) {
      missing_ = fmt::format("ACL does not start: error {}", result);
    }
  }

  [[nodiscard]] std::string_view name() const override { return "ACL"; }

  [[nodiscard]] std::string unavailable_reason() const override {
    if (!missing_.empty()) return missing_;
    return visible_devices() == 0 ? "this machine has no NPU that works" : "";
  }

  [[nodiscard]] std::size_t visible_devices() const override {
    std::uint32_t count = 0;
    const bool good = missing_.empty() && calls_.device_count(&count) == kSuccess;
    return good ? count : 0;
  }

  [[nodiscard]] Facts versions() const override {
    std::int32_t major = 0;
    std::int32_t minor = 0;
    std::int32_t patch = 0;
    check(calls_.version(&major, &minor, &patch), "aclrtGetVersion");
    return {{"acl_runtime", fmt::format("{}.{}.{}", major, minor, patch)}};
  }

  [[nodiscard]] std::string device_name(DeviceId /*device*/) const override {
    const char* const name = calls_.soc_name();
    return name == nullptr ? "NPU" : name;
  }

  [[nodiscard]] Facts device_facts(DeviceId device) const override {
    return {{"device", fmt::format("{} {}", device.ordinal, device_name(device))},
            {"device_memory", std::to_string(memory().total)}};
  }

  [[nodiscard]] std::string place_of(DeviceId device) const override {
    return std::to_string(device.ordinal);
  }
  [[nodiscard]] DeviceId device_at(const std::string& place) const override {
    return {std::stoi(place)};
  }

  void bind(DeviceId device) const override {
    check(calls_.set_device(device.ordinal), "aclrtSetDevice");
  }
  [[nodiscard]] DeviceBytes memory() const override {
    DeviceBytes bytes;
    check(calls_.memory_info(kHighBandwidthMemory, &bytes.free, &bytes.total), "aclrtGetMemInfo");
    return bytes;
  }
  [[nodiscard]] bool reaches(DeviceId /*own*/, DeviceId /*peer*/) const override { return false; }
  void allow_access_to(DeviceId /*peer*/) const override { lacks("access between devices"); }

  [[nodiscard]] void* allocate(std::size_t bytes) const override {
    void* start = nullptr;
    const int result = calls_.allocate(&start, bytes, kHugePagesFirst);
    if (result == kOutOfMemory) return nullptr;
    check(result, "aclrtMalloc");
    return start;
  }
  void free(void* start) const noexcept override { (void)calls_.free(start); }
  [[nodiscard]] void* allocate_pinned(std::size_t bytes) const override {
    void* start = nullptr;
    check(calls_.host_allocate(&start, bytes), "aclrtMallocHost");
    return start;
  }
  void free_pinned(void* start) const noexcept override { (void)calls_.host_free(start); }
  [[nodiscard]] void* allocate_on(std::size_t bytes, DeviceStream /*stream*/) const override {
    void* const start = allocate(bytes);
    if (start == nullptr) throw DeviceError("ACL: out of memory (aclrtMalloc)");
    return start;
  }
  void free_on(void* start, DeviceStream /*stream*/) const noexcept override { free(start); }
  [[nodiscard]] MemoryTicket share(void* /*start*/) const override {
    lacks("memory shared between processes");
  }
  [[nodiscard]] void* map(const MemoryTicket& /*ticket*/) const override {
    lacks("memory shared between processes");
  }
  void unmap(void* /*start*/) const noexcept override {}

  /// Priorities are reserved in the interface: all streams are alike.
  [[nodiscard]] DeviceStream create_stream(bool /*high_priority*/) const override {
    void* stream = nullptr;
    check(calls_.stream_create(&stream, 0, 0), "aclrtCreateStreamWithConfig");
    return stream;
  }
  void destroy_stream(DeviceStream stream) const noexcept override {
    (void)calls_.stream_destroy(stream);
  }
  [[nodiscard]] DeviceEvent create_event(EventKind kind) const override {
    void* event = nullptr;
    const std::uint32_t flag = kind == EventKind::kTiming ? kEventTimeLine : kEventProgress;
    check(calls_.event_create(&event, flag), "aclrtCreateEventWithFlag");
    return event;
  }
  void destroy_event(DeviceEvent event) const noexcept override {
    (void)calls_.event_destroy(event);
  }
  void record(DeviceEvent event, DeviceStream stream) const override {
    check(calls_.event_record(event, stream), "aclrtRecordEvent");
  }
  [[nodiscard]] bool passed(DeviceEvent event) const override {
    int status = 0;
    check(calls_.event_status(event, &status), "aclrtQueryEventStatus");
    return status == kEventComplete;
  }
  [[nodiscard]] bool idle(DeviceStream stream) const override {
    int status = 0;
    check(calls_.stream_query(stream, &status), "aclrtStreamQuery");
    return status == kStreamComplete;
  }
  void synchronize(DeviceStream stream) const override {
    check(calls_.stream_synchronize(stream), "aclrtSynchronizeStream");
  }
  [[nodiscard]] Seconds elapsed(DeviceEvent from, DeviceEvent to) const override {
    float milliseconds = 0;
    check(calls_.event_elapsed(&milliseconds, from, to), "aclrtEventElapsedTime");
    return Seconds(static_cast<double>(milliseconds) * 1e-3);
  }

  void copy(void* to, const void* from, std::size_t bytes, CopyKind kind,
            DeviceStream stream) const override {
    constexpr std::array kKinds = {kHostToDevice, kDeviceToHost, kDeviceToDevice, kDeviceToDevice};
    check(calls_.copy(to, bytes, from, bytes, kKinds[static_cast<std::size_t>(kind)], stream),
          "aclrtMemcpyAsync");
  }
  void copy_all(std::span<const CopyRequest> copies, bool /*engines*/,
                DeviceStream stream) const override {
    for (const CopyRequest& item : copies) {
      copy(item.to, item.from, static_cast<std::size_t>(item.bytes.count()), CopyKind::kWithin,
           stream);
    }
  }
  void set(void* start, int value, std::size_t bytes, DeviceStream stream) const override {
    check(calls_.set(start, bytes, value, bytes, stream), "aclrtMemsetAsync");
  }
  [[nodiscard]] bool write_word(DeviceStream /*stream*/, std::uint64_t* /*word*/,
                                std::uint64_t /*value*/) const override {
    return false;
  }

 private:
  void check(int result, std::string_view call) const {
    if (result == kSuccess) return;
    const char* const text = calls_.recent_error();
    throw DeviceError(
        fmt::format("ACL: error {}: {} ({})", result, text == nullptr ? "" : text, call));
  }
  [[noreturn]] static void lacks(std::string_view what) {
    throw DeviceError(fmt::format("ACL: {} is not supported here", what));
  }

  AclCalls calls_;
  std::string missing_;
};

}  // namespace

std::unique_ptr<DeviceRuntime> load_acl(std::span<const std::string> names) {
  SharedLibrary library(names);
  AclCalls calls;
  library.find(calls.init, "aclInit");
  library.find(calls.recent_error, "aclGetRecentErrMsg");
  library.find(calls.soc_name, "aclrtGetSocName");
  library.find(calls.version, "aclrtGetVersion");
  library.find(calls.device_count, "aclrtGetDeviceCount");
  library.find(calls.set_device, "aclrtSetDevice");
  library.find(calls.memory_info, "aclrtGetMemInfo");
  library.find(calls.allocate, "aclrtMalloc");
  library.find(calls.free, "aclrtFree");
  library.find(calls.host_allocate, "aclrtMallocHost");
  library.find(calls.host_free, "aclrtFreeHost");
  library.find(calls.stream_create, "aclrtCreateStreamWithConfig");
  library.find(calls.stream_destroy, "aclrtDestroyStream");
  library.find(calls.stream_query, "aclrtStreamQuery");
  library.find(calls.stream_synchronize, "aclrtSynchronizeStream");
  library.find(calls.event_create, "aclrtCreateEventWithFlag");
  library.find(calls.event_destroy, "aclrtDestroyEvent");
  library.find(calls.event_record, "aclrtRecordEvent");
  library.find(calls.event_status, "aclrtQueryEventStatus");
  library.find(calls.event_elapsed, "aclrtEventElapsedTime");
  library.find(calls.copy, "aclrtMemcpyAsync");
  library.find(calls.set, "aclrtMemsetAsync");
  return std::make_unique<AclRuntime>(calls, library.missing());
}

}  // namespace moeshift
