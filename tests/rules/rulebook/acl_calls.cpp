// SPDX-License-Identifier: Apache-2.0
// The names of Ascend's run time.
#include <cstdint>
#include <cstring>

#include "device_calls.hpp"

namespace {

constexpr int kSuccess = 0;
constexpr int kInvalidParameter = 107000;
constexpr int kOutOfMemory = 207001;
constexpr unsigned kTimeLine = 8;

int code(bool good) {
  return good ? kSuccess : kInvalidParameter;
}

}  // namespace

extern "C" {

int aclInit(const char* /*file*/) {
  return kSuccess;
}
const char* aclGetRecentErrMsg() {
  return "the rulebook refuses; see its findings";
}
const char* aclrtGetSocName() {
  return "host memory under rules";
}
int aclrtGetVersion(std::int32_t* major, std::int32_t* minor, std::int32_t* patch) {
  *major = 1;
  *minor = 14;
  *patch = 0;
  return kSuccess;
}
int aclrtGetDeviceCount(std::uint32_t* count) {
  *count = static_cast<std::uint32_t>(rulebook::device_count());
  return kSuccess;
}
int aclrtSetDevice(std::int32_t device) {
  return code(rulebook::bind_device(device));
}
int aclrtGetMemInfo(int /*attribute*/, std::size_t* free, std::size_t* total) {
  rulebook::device_bytes(free, total);
  return kSuccess;
}
int aclrtMalloc(void** start, std::size_t bytes, int /*policy*/) {
  *start = rulebook::device_allocate(bytes, "aclrtMalloc");
  return *start == nullptr ? kOutOfMemory : kSuccess;
}
int aclrtFree(void* start) {
  return code(rulebook::device_free(start, "aclrtFree"));
}
int aclrtMallocHost(void** start, std::size_t bytes) {
  *start = rulebook::host_allocate(bytes, "aclrtMallocHost");
  return *start == nullptr ? kOutOfMemory : kSuccess;
}
int aclrtFreeHost(void* start) {
  return code(rulebook::device_free(start, "aclrtFreeHost"));
}
int aclrtCreateStreamWithConfig(void** stream, std::uint32_t /*priority*/, std::uint32_t /*flag*/) {
  *stream = rulebook::make_stream();
  return kSuccess;
}
int aclrtDestroyStream(void* stream) {
  return code(rulebook::drop_stream(stream));
}
int aclrtSynchronizeStream(void* stream) {
  return code(rulebook::synchronize(stream));
}
int aclrtStreamQuery(void* stream, int* status) {
  const rulebook::State state = rulebook::query_stream(stream);
  *status = state == rulebook::State::kDone ? 0 : 1;
  return code(state != rulebook::State::kBad);
}
int aclrtCreateEventWithFlag(void** event, std::uint32_t flag) {
  *event = rulebook::make_event((flag & kTimeLine) != 0);
  return kSuccess;
}
int aclrtDestroyEvent(void* event) {
  return code(rulebook::drop_event(event));
}
int aclrtRecordEvent(void* event, void* stream) {
  return code(rulebook::record(event, stream));
}
int aclrtQueryEventStatus(void* event, int* status) {
  const rulebook::State state = rulebook::query(event);
  *status = state == rulebook::State::kDone ? 1 : 0;
  return code(state != rulebook::State::kBad);
}
int aclrtEventElapsedTime(float* milliseconds, void* from, void* to) {
  return code(rulebook::elapsed(milliseconds, from, to));
}
int aclrtMemcpyAsync(void* to, std::size_t most, const void* from, std::size_t bytes, int kind,
                     void* stream) {
  if (bytes > most || kind < 1 || kind > 3) return kInvalidParameter;
  return code(rulebook::copy(to, from, bytes, static_cast<rulebook::Way>(kind - 1), stream));
}
int aclrtMemsetAsync(void* start, std::size_t most, std::int32_t value, std::size_t bytes,
                     void* stream) {
  if (bytes > most) return kInvalidParameter;
  return code(rulebook::set(start, value, bytes, stream));
}

}  // extern "C"
