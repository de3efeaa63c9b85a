// SPDX-License-Identifier: Apache-2.0
// The library's errors as Python's.
#include <cctype>
#include <filesystem>
#include <string>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/core/shown_text.hpp"

#include "bindings.hpp"

namespace moeshift::python {
namespace {

namespace py = pybind11;

/// What the program calls --time-limit is the argument time_limit here.
std::string with_arguments(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = i == 0 || std::isspace(static_cast<unsigned char>(text[i - 1])) != 0 ||
                        text[i - 1] == '(' || text[i - 1] == '\'';
    const bool option = begins && text.compare(i, 2, "--") == 0 && i + 2 < text.size() &&
                        std::islower(static_cast<unsigned char>(text[i + 2])) != 0;
    if (!option) {
      out += text[i];
      continue;
    }
    std::size_t end = i + 2;
    while (end < text.size() &&
           (std::islower(static_cast<unsigned char>(text[end])) != 0 || text[end] == '-')) {
      out += text[end] == '-' ? '_' : text[end];
      ++end;
    }
    i = end - 1;
  }
  return out;
}

void raise(PyObject* type, const char* what) {
  PyErr_SetString(type, with_arguments(shown(what)).c_str());
}

}  // namespace

void bind_errors(py::module_& module) {
  static PyObject* input = nullptr;
  static PyObject* infeasible = nullptr;
  static PyObject* device = nullptr;
  const auto make = [&](const char* name, const char* doc, PyObject* base) {
    PyObject* type =
        PyErr_NewExceptionWithDoc((std::string("moeshift.") + name).c_str(), doc, base, nullptr);
    module.attr(name) = py::handle(type);
    return type;
  };
  input = make("InputError",
               "Bad input: an argument, an array or a file; the message says where and what was "
               "expected there.",
               PyExc_ValueError);
  infeasible = make("InfeasibleError",
                    "The question is well formed but has no answer: fewer slots than replicas "
                    "need, memory that cannot hold the plan.",
                    PyExc_RuntimeError);
  device =
      make("DeviceError", "A device, a peer or the operating system failed.", PyExc_RuntimeError);
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const InputError& bad) {
      raise(input, bad.what());
    } catch (const InfeasibleError& none) {
      raise(infeasible, none.what());
    } catch (const DeviceError& failed) {
      raise(device, failed.what());
    } catch (const InterruptedError&) {
      PyErr_SetNone(PyExc_KeyboardInterrupt);
    } catch (const std::filesystem::filesystem_error& failed) {
      raise(input, failed.what());
    }
  });
}

}  // namespace moeshift::python
