// SPDX-License-Identifier: Apache-2.0
// The parts of the module, each in the file of its name.
#pragma once

#include <pybind11/pybind11.h>

namespace moeshift::python {

void bind_commands(pybind11::module_& module);
void bind_eplb(pybind11::module_& module);
void bind_errors(pybind11::module_& module);
void bind_files(pybind11::module_& module);
void bind_moves(pybind11::module_& module);
void bind_plan(pybind11::module_& module);

}  // namespace moeshift::python
