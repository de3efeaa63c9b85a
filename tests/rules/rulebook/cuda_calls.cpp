// SPDX-License-Identifier: Apache-2.0
// The names of the CUDA and HIP run times: one set of functions, exported under both.
#include <array>
#include <cstdio>
#include <cstring>

#include "device_calls.hpp"

namespace {

constexpr int kSuccess = 0;
constexpr int kInvalidValue = 1;
constexpr int kOutOfMemory = 2;
constexpr int kInvalidDevice = 101;
constexpr int kNotReady = 600;
constexpr unsigned kDisableTiming = 2;

struct Ticket {
  std::array<char, 64> bytes;
};

int code(bool good) {
  return good ? kSuccess : kInvalidValue;
}

int state(rulebook::State state) {
  if (state == rulebook::State::kNotYet) return kNotReady;
  return code(state == rulebook::State::kDone);
}

}  // namespace

extern "C" {

int cudaGetDeviceCount(int* count) {
  *count = rulebook::device_count();
  return kSuccess;
}
int cudaSetDevice(int device) {
  return rulebook::bind_device(device) ? kSuccess : kInvalidDevice;
}
int cudaDriverGetVersion(int* version) {
  *version = 13000;
  return kSuccess;
}
int cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return kSuccess;
}
int cudaDeviceGetName(char* name, int size, int /*device*/) {
  std::snprintf(name, static_cast<std::size_t>(size), "host memory under rules");
  return kSuccess;
}
int cudaDeviceGetPCIBusId(char* place, int size, int device) {
  std::snprintf(place, static_cast<std::size_t>(size), "0000:%02x:00.0", device);
  return kSuccess;
}
int cudaDeviceGetByPCIBusId(int* device, const char* place) {
  unsigned found = 0;
  if (std::sscanf(place, "%*x:%x:", &found) != 1) return kInvalidValue;
  *device = static_cast<int>(found);
  return kSuccess;
}
int cudaDeviceCanAccessPeer(int* possible, int device, int peer) {
  *possible = device != peer;
  return kSuccess;
}
int cudaDeviceEnablePeerAccess(int /*peer*/, unsigned /*flags*/) {
  return kSuccess;
}
int cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  rulebook::device_bytes(free, total);
  return kSuccess;
}
int cudaMalloc(void** start, std::size_t bytes) {
  *start = rulebook::device_allocate(bytes, "Malloc");
  return *start == nullptr ? kOutOfMemory : kSuccess;
}
int cudaFree(void* start) {
  return code(rulebook::device_free(start, "Free"));
}
int cudaHostAlloc(void** start, std::size_t bytes, unsigned /*flags*/) {
  *start = rulebook::host_allocate(bytes, "HostAlloc");
  return *start == nullptr ? kOutOfMemory : kSuccess;
}
int cudaFreeHost(void* start) {
  return code(rulebook::device_free(start, "FreeHost"));
}
int cudaMallocAsync(void** start, std::size_t bytes, void* /*stream*/) {
  *start = rulebook::device_allocate(bytes, "MallocAsync");
  return *start == nullptr ? kOutOfMemory : kSuccess;
}
int cudaFreeAsync(void* start, void* stream) {
  return code(rulebook::free_on(start, stream));
}
int cudaIpcGetMemHandle(Ticket* ticket, void* start) {
  if (!rulebook::is_allocated(start)) return kInvalidValue;
  std::memcpy(ticket->bytes.data(), &start, sizeof start);
  return kSuccess;
}
int cudaIpcOpenMemHandle(void** start, Ticket ticket, unsigned /*flags*/) {
  std::memcpy(start, ticket.bytes.data(), sizeof *start);
  rulebook::count_mapping(1);
  return code(rulebook::is_allocated(*start));
}
int cudaIpcCloseMemHandle(void* /*start*/) {
  rulebook::count_mapping(-1);
  return kSuccess;
}
int cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return kSuccess;
}
int cudaStreamCreateWithPriority(void** stream, unsigned /*flags*/, int /*priority*/) {
  *stream = rulebook::make_stream();
  return kSuccess;
}
int cudaStreamDestroy(void* stream) {
  return code(rulebook::drop_stream(stream));
}
int cudaStreamSynchronize(void* stream) {
  return code(rulebook::synchronize(stream));
}
int cudaStreamQuery(void* stream) {
  return state(rulebook::query_stream(stream));
}
int cudaStreamWaitEvent(void* stream, void* event, unsigned /*flags*/) {
  return code(rulebook::wait_event(stream, event));
}
int cudaEventCreateWithFlags(void** event, unsigned flags) {
  *event = rulebook::make_event((flags & kDisableTiming) == 0);
  return kSuccess;
}
int cudaEventDestroy(void* event) {
  return code(rulebook::drop_event(event));
}
int cudaEventRecord(void* event, void* stream) {
  return code(rulebook::record(event, stream));
}
int cudaEventQuery(void* event) {
  return state(rulebook::query(event));
}
int cudaEventElapsedTime(float* milliseconds, void* from, void* to) {
  return code(rulebook::elapsed(milliseconds, from, to));
}
int cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, int kind, void* stream) {
  return code(rulebook::copy(to, from, bytes, static_cast<rulebook::Way>(kind - 1), stream));
}
int cudaMemsetAsync(void* start, int value, std::size_t bytes, void* stream) {
  return code(rulebook::set(start, value, bytes, stream));
}
int cudaStreamWriteValue64(void* stream, void* word, std::uint64_t value, unsigned /*flags*/) {
  return code(rulebook::write_word(stream, static_cast<std::uint64_t*>(word), value));
}
int cudaGetLastError() {
  return kSuccess;
}
const char* cudaGetErrorString(int error) {
  if (error == kOutOfMemory) return "out of memory";
  return error == kInvalidDevice ? "no such device" : "the rulebook refuses; see its findings";
}

int hipGetDeviceCount(int*) __attribute__((alias("cudaGetDeviceCount")));
int hipSetDevice(int) __attribute__((alias("cudaSetDevice")));
int hipDriverGetVersion(int*) __attribute__((alias("cudaDriverGetVersion")));
int hipRuntimeGetVersion(int*) __attribute__((alias("cudaRuntimeGetVersion")));
int hipDeviceGetName(char*, int, int) __attribute__((alias("cudaDeviceGetName")));
int hipDeviceGetPCIBusId(char*, int, int) __attribute__((alias("cudaDeviceGetPCIBusId")));
int hipDeviceGetByPCIBusId(int*, const char*) __attribute__((alias("cudaDeviceGetByPCIBusId")));
int hipDeviceCanAccessPeer(int*, int, int) __attribute__((alias("cudaDeviceCanAccessPeer")));
int hipDeviceEnablePeerAccess(int, unsigned) __attribute__((alias("cudaDeviceEnablePeerAccess")));
int hipMemGetInfo(std::size_t*, std::size_t*) __attribute__((alias("cudaMemGetInfo")));
int hipMalloc(void**, std::size_t) __attribute__((alias("cudaMalloc")));
int hipFree(void*) __attribute__((alias("cudaFree")));
int hipHostMalloc(void**, std::size_t, unsigned) __attribute__((alias("cudaHostAlloc")));
int hipHostFree(void*) __attribute__((alias("cudaFreeHost")));
int hipMallocAsync(void**, std::size_t, void*) __attribute__((alias("cudaMallocAsync")));
int hipFreeAsync(void*, void*) __attribute__((alias("cudaFreeAsync")));
int hipIpcGetMemHandle(Ticket*, void*) __attribute__((alias("cudaIpcGetMemHandle")));
int hipIpcOpenMemHandle(void**, Ticket, unsigned) __attribute__((alias("cudaIpcOpenMemHandle")));
int hipIpcCloseMemHandle(void*) __attribute__((alias("cudaIpcCloseMemHandle")));
int hipDeviceGetStreamPriorityRange(int*, int*)
    __attribute__((alias("cudaDeviceGetStreamPriorityRange")));
int hipStreamCreateWithPriority(void**, unsigned, int)
    __attribute__((alias("cudaStreamCreateWithPriority")));
int hipStreamDestroy(void*) __attribute__((alias("cudaStreamDestroy")));
int hipStreamSynchronize(void*) __attribute__((alias("cudaStreamSynchronize")));
int hipStreamQuery(void*) __attribute__((alias("cudaStreamQuery")));
int hipStreamWaitEvent(void*, void*, unsigned) __attribute__((alias("cudaStreamWaitEvent")));
int hipEventCreateWithFlags(void**, unsigned) __attribute__((alias("cudaEventCreateWithFlags")));
int hipEventDestroy(void*) __attribute__((alias("cudaEventDestroy")));
int hipEventRecord(void*, void*) __attribute__((alias("cudaEventRecord")));
int hipEventQuery(void*) __attribute__((alias("cudaEventQuery")));
int hipEventElapsedTime(float*, void*, void*) __attribute__((alias("cudaEventElapsedTime")));
int hipMemcpyAsync(void*, const void*, std::size_t, int, void*)
    __attribute__((alias("cudaMemcpyAsync")));
int hipMemsetAsync(void*, int, std::size_t, void*) __attribute__((alias("cudaMemsetAsync")));
int hipStreamWriteValue64(void*, void*, std::uint64_t, unsigned)
    __attribute__((alias("cudaStreamWriteValue64")));
int hipGetLastError() __attribute__((alias("cudaGetLastError")));
const char* hipGetErrorString(int) __attribute__((alias("cudaGetErrorString")));

}  // extern "C"
