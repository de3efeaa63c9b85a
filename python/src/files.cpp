// SPDX-License-Identifier: Apache-2.0
// Recordings and placements of any known format, and loads that lie in memory, as values.
#include <algorithm>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/option_set.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/placement_file.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "bindings.hpp"
#include "call_host.hpp"
#include "options_by_name.hpp"
#include "values.hpp"

namespace moeshift::python {
namespace {

namespace py = pybind11;

template <class T>
py::object or_none(const std::optional<T>& value) {
  return value ? py::cast(*value) : py::none();
}

LoadWindow read_trace(const std::vector<std::string>& paths, const std::string& windows,
                      const std::optional<std::string>& model, const Words& words) {
  CallHost host;
  cli::TraceInputs inputs;
  OptionsByName options;
  inputs.declare_options(options.set());
  inputs.set_paths(paths);
  options.store(words);
  cli::Session session({"moeshift"}, {}, &host);
  const StepRange range = parse_step_range(windows, "windows");
  std::optional<LoadWindow> window;
  run_released(host.progress(), [&] {
    const auto reader = inputs.open(session, model);
    window = std::move(load_windows(*reader, inputs.name(), {&range, 1}).front());
    window->header.notes = reader->header().notes;  // they may grow until the end
  });
  host.talk();
  return std::move(*window);
}

LoadWindow window_of(const py::object& loads, const py::dict& header) {
  LoadWindow window;
  window.loads = loads_of(loads);
  window.header.num_layers = window.loads[0].rows();
  window.header.num_experts = window.loads[0].columns();
  const auto take = [&](const char* key, auto& to) {
    if (header.contains(key) && !header[key].is_none()) {
      to = header[key].cast<std::remove_cvref_t<decltype(to)>>();
    }
  };
  take("model", window.header.model);
  take("top_k", window.header.top_k);
  take("num_expert_groups", window.header.num_expert_groups);
  take("num_ranks", window.header.num_ranks);
  take("layer_ids", window.header.layer_ids);
  if (!window.header.layer_ids.empty() &&
      window.header.layer_ids.size() != window.header.num_layers) {
    throw InputError("layer_ids", "expected one per layer of the loads");
  }
  for (std::size_t i = 0; i < window.loads.size(); ++i) {
    window.steps.push_back(static_cast<std::int64_t>(i));
    window.labels.emplace_back();
  }
  return window;
}

/// [steps, layers, experts] tokens.
py::array_t<double> loads_array(const LoadWindow& window) {
  const auto steps = static_cast<py::ssize_t>(window.loads.size());
  py::array_t<double> array({steps, static_cast<py::ssize_t>(window.header.num_layers),
                             static_cast<py::ssize_t>(window.header.num_experts)});
  double* to = array.mutable_data();
  for (const LoadMatrix& load : window.loads) {
    to = std::copy(load.items().begin(), load.items().end(), to);
  }
  return array;
}

/// As our own format, for commands that read it again.
/// @throws InputError for loads that are not whole numbers.
std::string neutral_text(const LoadWindow& window) {
  std::ostringstream out;
  const auto writer = trace_format("neutral").create(out, window.header);
  for (std::size_t i = 0; i < window.loads.size(); ++i) {
    writer->write({.step = window.steps[i], .label = window.labels[i], .load = window.loads[i]});
  }
  writer->finish();
  return out.str();
}

PlacementFile read_placement_of(const std::string& path, std::optional<std::size_t> ranks,
                                std::optional<std::size_t> experts) {
  CallHost host;
  cli::Session session({"moeshift"}, {}, &host);
  std::optional<PlacementFile> file;
  run_released(host.progress(), [&] {
    file = cli::read_placement_file(session, path, {.num_experts = experts, .num_ranks = ranks});
  });
  host.talk();
  return std::move(*file);
}

PlacementFile placement_file_of(const py::object& map, std::size_t ranks,
                                std::optional<std::size_t> experts,
                                std::vector<std::int64_t> layer_ids) {
  return {.placement = placement_of(map, experts.value_or(0), ranks, "physical_to_logical"),
          .layer_ids = std::move(layer_ids)};
}

/// A plan file without a report: what commands read back.
std::string plan_text(const PlacementFile& file) {
  std::ostringstream out;
  placement_format("moeshift").write(out, file);
  return out.str();
}

void bind_trace(py::module_& module) {
  py::class_<LoadWindow>(module, "Trace",
                         "Steps of recorded loads, and what the recording says of itself.")
      .def_property_readonly("loads", &loads_array,
                             "float64 [steps, layers, experts] tokens; a copy.")
      .def_property_readonly("num_steps", [](const LoadWindow& w) { return w.loads.size(); })
      .def_property_readonly("num_layers", [](const LoadWindow& w) { return w.header.num_layers; })
      .def_property_readonly("num_experts",
                             [](const LoadWindow& w) { return w.header.num_experts; })
      .def_property_readonly("model", [](const LoadWindow& w) { return w.header.model; })
      .def_property_readonly(
          "layer_ids", [](const LoadWindow& w) { return w.header.layer_ids; },
          "The model's own numbers of the layers; empty where nothing says them.")
      .def_property_readonly("top_k", [](const LoadWindow& w) { return or_none(w.header.top_k); })
      .def_property_readonly("num_ranks",
                             [](const LoadWindow& w) { return or_none(w.header.num_ranks); })
      .def_property_readonly(
          "num_expert_groups",
          [](const LoadWindow& w) { return or_none(w.header.num_expert_groups); })
      .def_readonly("steps", &LoadWindow::steps, "The steps' own numbers.")
      .def_readonly("labels", &LoadWindow::labels)
      .def_property_readonly(
          "notes", [](const LoadWindow& w) { return w.header.notes; },
          "What the reader took for granted or left out.")
      .def("_text", &neutral_text);
}

}  // namespace

void bind_files(py::module_& module) {
  bind_trace(module);
  py::class_<PlacementFile>(module, "Placement", "Which expert lives in which slot.")
      .def_property_readonly(
          "physical_to_logical",
          [](const PlacementFile& f) { return physical_to_logical(f.placement); },
          "int64 [layers, slots]; -1 = a slot that holds nothing.")
      .def_property_readonly(
          "logical_to_physical",
          [](const PlacementFile& f) { return logical_to_physical(f.placement); },
          "int64 [layers, experts, most replicas], ascending slots, then -1.")
      .def_property_readonly(
          "replica_count", [](const PlacementFile& f) { return replica_count(f.placement); },
          "int64 [layers, experts].")
      .def_property_readonly("num_ranks",
                             [](const PlacementFile& f) { return f.placement.ranks(); })
      .def_property_readonly("num_experts",
                             [](const PlacementFile& f) { return f.placement.experts(); })
      .def_readonly("layer_ids", &PlacementFile::layer_ids)
      .def("_text", &plan_text);
  module.def("read_trace", &read_trace, py::arg("paths"), py::arg("windows"), py::arg("model"),
             py::arg("words"));
  module.def("window", &window_of, py::arg("loads"), py::arg("header"));
  module.def("read_placement", &read_placement_of, py::arg("path"), py::arg("ranks"),
             py::arg("experts"));
  module.def("placement", &placement_file_of, py::arg("map"), py::arg("ranks"), py::arg("experts"),
             py::arg("layer_ids"));
}

}  // namespace moeshift::python
