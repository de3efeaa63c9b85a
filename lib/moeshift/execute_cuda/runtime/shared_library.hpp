// SPDX-License-Identifier: Apache-2.0
// A vendor's library, looked for when it is first needed: the program neither links nor needs it.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace moeshift {

class SharedLibrary {
 public:
  /// Tries the names in turn; never throws. A library stays loaded to the end of the process:
  /// vendors' libraries do not survive being unloaded.
  explicit SharedLibrary(std::span<const std::string> names);

  /// Empty when the library is there and had all that was asked for; else a sentence.
  [[nodiscard]] const std::string& missing() const { return missing_; }
  /// The file that was loaded, as the loader found it.
  [[nodiscard]] const std::string& file() const { return file_; }

  /// Sets `function` to the library's `name`; notes it as missing where there is none.
  template <class Function>
  void find(Function*& function, const std::string& name) {
    function = reinterpret_cast<Function*>(address_of(name, true));
  }
  /// The same for one that not every version has: null then.
  template <class Function>
  void find_if_there(Function*& function, const std::string& name) {
    function = reinterpret_cast<Function*>(address_of(name, false));
  }

 private:
  [[nodiscard]] void* address_of(const std::string& name, bool needed);

  void* handle_ = nullptr;
  std::string file_;
  std::string missing_;
};

}  // namespace moeshift
