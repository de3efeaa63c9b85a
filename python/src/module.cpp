// SPDX-License-Identifier: Apache-2.0
// moeshift._core: the library as Python sees it. What users call stands in moeshift/*.py.
#include "apps/moeshift/cli/version.hpp"
#include "bindings.hpp"

PYBIND11_MODULE(_core, module) {
  module.attr("__version__") = std::string(moeshift::cli::kVersion);
  moeshift::python::bind_errors(module);
  moeshift::python::bind_eplb(module);
  moeshift::python::bind_files(module);
  moeshift::python::bind_plan(module);
  moeshift::python::bind_moves(module);
  moeshift::python::bind_commands(module);
}
