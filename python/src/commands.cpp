// SPDX-License-Identifier: Apache-2.0
// The program's commands as calls: the same options, defaults and results, by the same code.
#include <map>
#include <string>
#include <vector>

#include <pybind11/stl.h>

#include "apps/moeshift/cli/program.hpp"
#include "bindings.hpp"
#include "call_host.hpp"
#include "values.hpp"

namespace moeshift::python {
namespace {

namespace py = pybind11;

/// @param argv without the program's name.
/// @return (exit code, envelope or None, what was written to standard output).
py::tuple command(const std::vector<std::string>& argv, std::map<std::string, std::string> inputs) {
  CallHost host(std::move(inputs));
  std::vector<std::string> words{"moeshift"};
  words.insert(words.end(), argv.begin(), argv.end());
  cli::ExitCode code = cli::ExitCode::kGood;
  run_released(host.progress(), [&] { code = cli::run_for(host, words); });
  host.talk();
  return py::make_tuple(static_cast<int>(code), to_python(host.answered()), host.written());
}

}  // namespace

void bind_commands(py::module_& module) {
  module.def("command", &command, py::arg("argv"), py::arg("inputs"));
}

}  // namespace moeshift::python
