// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/runtime/shared_library.hpp"

#include <dlfcn.h>
#include <link.h>

namespace moeshift {

SharedLibrary::SharedLibrary(std::span<const std::string> names) {
  for (const std::string& name : names) {
    if (name.empty()) continue;
    handle_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) break;
  }
  if (handle_ == nullptr) {
    missing_ = "no " + (names.empty() ? std::string("library") : names.front()) + " here";
    return;
  }
  link_map* map = nullptr;
  if (::dlinfo(handle_, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr) file_ = map->l_name;
}

void* SharedLibrary::address_of(const std::string& name, bool needed) {
  if (handle_ == nullptr) return nullptr;
  void* const address = ::dlsym(handle_, name.c_str());
  if (address == nullptr && needed && missing_.empty()) {
    missing_ = file_ + " has no " + name;
  }
  return address;
}

}  // namespace moeshift
