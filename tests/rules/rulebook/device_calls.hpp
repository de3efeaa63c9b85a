// SPDX-License-Identifier: Apache-2.0
// What the run times of CUDA, HIP and ACL have in common; each of them is a page of names and
// numbers around it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rulebook {

/// Like CUDA's kinds of copies, one less.
enum class Way { kToDevice, kToHost, kWithin, kAny };

enum class State { kDone, kNotYet, kBad };

[[nodiscard]] int device_count();
[[nodiscard]] bool bind_device(int device);
void device_bytes(std::size_t* free, std::size_t* total);
/// Null when there is not so much.
[[nodiscard]] void* device_allocate(std::size_t bytes, const char* call);
[[nodiscard]] void* host_allocate(std::size_t bytes, const char* call);
/// Waits for all work of the device first, as run times do, but not for ever.
[[nodiscard]] bool device_free(void* start, const char* call);
[[nodiscard]] bool free_on(void* start, void* stream);
[[nodiscard]] void* make_stream();
[[nodiscard]] bool drop_stream(void* stream);
[[nodiscard]] bool synchronize(void* stream);
[[nodiscard]] State query_stream(void* stream);
[[nodiscard]] void* make_event(bool timing);
[[nodiscard]] bool drop_event(void* event);
[[nodiscard]] bool record(void* event, void* stream);
[[nodiscard]] bool wait_event(void* stream, void* event);
[[nodiscard]] State query(void* event);
[[nodiscard]] bool elapsed(float* milliseconds, void* from, void* to);
[[nodiscard]] bool copy(void* to, const void* from, std::size_t bytes, Way way, void* stream);
[[nodiscard]] bool set(void* start, int value, std::size_t bytes, void* stream);
[[nodiscard]] bool write_word(void* stream, std::uint64_t* word, std::uint64_t value);
[[nodiscard]] bool is_allocated(const void* start);
void count_mapping(int change);

}  // namespace rulebook
