// SPDX-License-Identifier: Apache-2.0
// Allocations, and what lies in none of them.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "machine.hpp"

namespace rulebook {

void* Machine::allocate(std::size_t bytes, bool host, std::string call) {
  const int device = bound_device();
  if (!host && used_on(device) + bytes > options_.device_bytes) return nullptr;
  const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + 255) / 256 * 256;
  auto* const start = static_cast<std::byte*>(std::aligned_alloc(256, rounded));
  if (start != nullptr) blocks_[start] = {bytes, device, device, host, std::move(call)};
  return start;
}

bool Machine::free(void* start, const std::string& call) {
  const auto found = blocks_.find(static_cast<std::byte*>(start));
  if (found == blocks_.end()) {
    report("freed twice", bound_device(), call, "nothing is allocated there, or no more");
    return false;
  }
  const Access all{found->first, found->second.bytes, true};
  for (const auto& work : live_) {
    if (work->done) continue;
    for (const Access& access : work->accesses) {
      const bool inside =
          access.start < all.start + all.bytes && all.start < access.start + access.bytes;
      if (!inside) continue;
      report("freed in use", bound_device(), call,
             "\"" + work->call + "\" of rank " + std::to_string(work->rank) +
                 " is still to read or write it");
      break;
    }
  }
  std::free(start);
  blocks_.erase(found);
  return true;
}

std::size_t Machine::used_on(int device) const {
  std::size_t used = 0;
  for (const auto& [start, block] : blocks_) {
    if (!block.host && block.device == device) used += block.bytes;
  }
  return used;
}

bool Machine::is_known(const void* start) const {
  const auto* const at = static_cast<const std::byte*>(start);
  auto after = blocks_.upper_bound(at);
  if (after == blocks_.begin()) return false;
  --after;
  return at < after->first + after->second.bytes;
}

void Machine::check_range(const Access& access, int rank, const std::string& call) {
  auto after = blocks_.upper_bound(access.start);
  if (after != blocks_.begin()) {
    --after;
    if (access.start + access.bytes <= after->first + after->second.bytes) return;
  }
  report("outside of memory", rank, call,
         std::to_string(access.bytes) + " bytes lie in no allocation, or not wholly in one");
}

}  // namespace rulebook
