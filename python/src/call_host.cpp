// SPDX-License-Identifier: Apache-2.0
#include "call_host.hpp"

namespace moeshift::python {

namespace py = pybind11;

void CallHost::talk() {
  if (lines_.empty()) return;
  const py::object take = py::module_::import("moeshift._talk").attr("take");
  for (const auto& [kind, line] : std::exchange(lines_, {})) take(kind, line);
}

}  // namespace moeshift::python
