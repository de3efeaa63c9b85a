// SPDX-License-Identifier: Apache-2.0
// plan(): the program's command of that name, on loads and maps that lie in memory.
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>
#include <pybind11/stl.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/judge/plan_on.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/plan/plan_report.hpp"
#include "apps/moeshift/plan/plan_request.hpp"
#include "bindings.hpp"
#include "call_host.hpp"
#include "options_by_name.hpp"
#include "values.hpp"

namespace moeshift::python {
namespace {

namespace py = pybind11;

/// A plan, and its report once somebody asks for it.
class Plan {
 public:
  Plan(const LoadWindow& window, std::optional<PlacementFile> old, const Words& words,
       std::map<std::string, std::string> inputs, const cli::CommonOptions& common)
      : host_(std::move(inputs)), session_({"moeshift", "plan"}, common, &host_) {
    cli::PlanRequest request;
    OptionsByName options;
    request.declare_shape(options.set());
    request.declare_inactive(options.set());
    cli::declare_forecaster(options.set(), request.forecaster);
    request.declare_goal(options.set());
    options.store(words);
    run_here(host_.progress(), [&] { make(std::move(request), window, std::move(old)); });
    host_.talk();
  }

  [[nodiscard]] const Placement& placement() const { return made_->plan().placement; }
  [[nodiscard]] const cli::MadePlan& made() const { return *made_; }

  /// The program's `result`. Its bounds are tight, which takes milliseconds per layer: made once.
  py::object result() {
    if (!result_) {
      nlohmann::ordered_json json;
      run_released(host_.progress(), [&] {
        const std::scoped_lock lock(mutex_);
        made_->tighten(session_.threads());
        json = cli::report_plan(made_->answer(session_)).result();
      });
      result_ = to_python(json);
    }
    return *result_;
  }

  /// [layers] of the verdicts at planning time.
  [[nodiscard]] py::list verdicts() const {
    py::list list;
    for (const LayerVerdict& verdict : made_->plan().layers) {
      py::dict row;
      row["peak_load"] = verdict.peak;
      row["imbalance"] = verdict.imbalance;
      row["keep"] = verdict.keep;
      row["hasty"] = verdict.hasty;
      row["duplicates"] = verdict.duplicates;
      list.append(std::move(row));
    }
    return list;
  }

  /// As a placement that knows what it was made for.
  [[nodiscard]] PlacementFile file() const {
    const cli::PlannedFor& planned = made_->planned();
    return {.placement = placement(),
            .layer_ids = planned.trace.layer_ids,
            .num_hidden_layers = planned.trace.num_hidden_layers,
            .world = planned.world};
  }

  [[nodiscard]] std::optional<PlacementFile> old() const {
    if (!made_->old()) return {};
    return PlacementFile{.placement = *made_->old(), .layer_ids = made_->planned().trace.layer_ids};
  }

  /// The file that `moeshift plan -o` writes, for commands that read it.
  std::string text() {
    nlohmann::ordered_json json;
    run_released(host_.progress(), [&] {
      const std::scoped_lock lock(mutex_);
      made_->tighten(session_.threads());
      json = envelope(cli::report_plan(made_->answer(session_)), session_.meta());
    });
    return json.dump();
  }

 private:
  void make(cli::PlanRequest request, const LoadWindow& window, std::optional<PlacementFile> file) {
    cli::PlannedFor planned = cli::read_planned_for(session_, request.shape, window.header);
    std::optional<Placement> old;
    if (file) old = cli::placement_for(std::move(*file), planned.trace, "old");
    PlannedLoads loads(request.forecaster);
    for (const LoadMatrix& load : window.loads) loads.add(load);
    made_ = std::make_unique<cli::MadePlan>(session_, std::move(request), loads, std::move(planned),
                                            std::move(old));
  }

  CallHost host_;
  cli::Session session_;
  std::unique_ptr<cli::MadePlan> made_;
  std::mutex mutex_;  ///< two threads may ask for the report at once
  std::optional<py::object> result_;
};

std::unique_ptr<Plan> plan(const LoadWindow& window, const py::object& old, std::size_t old_ranks,
                           const Words& words, std::map<std::string, std::string> inputs,
                           std::size_t seed, std::size_t threads) {
  std::optional<PlacementFile> from;
  if (py::isinstance<PlacementFile>(old)) {
    from = old.cast<const PlacementFile&>();
  } else if (py::isinstance<Plan>(old)) {
    from = old.cast<const Plan&>().file();
  } else if (!old.is_none()) {
    // Rows of an array are those of the loads, in whatever order these name their layers.
    from =
        PlacementFile{.placement = placement_of(old, window.header.num_experts, old_ranks, "old"),
                      .layer_ids = window.header.layer_ids};
  }
  cli::CommonOptions common;
  common.seed = seed;
  common.threads = threads;
  return std::make_unique<Plan>(window, std::move(from), words, std::move(inputs), common);
}

}  // namespace

void bind_plan(py::module_& module) {
  py::class_<Plan>(module, "Plan", "Where every expert lives, and what the planner says of it.")
      .def_property_readonly(
          "physical_to_logical", [](const Plan& p) { return physical_to_logical(p.placement()); },
          "int64 [layers, slots]; -1 = a slot that holds nothing.")
      .def_property_readonly(
          "logical_to_physical", [](const Plan& p) { return logical_to_physical(p.placement()); },
          "int64 [layers, experts, most replicas], ascending slots, then -1.")
      .def_property_readonly(
          "replica_count", [](const Plan& p) { return replica_count(p.placement()); },
          "int64 [layers, experts].")
      .def_property_readonly("num_ranks", [](const Plan& p) { return p.placement().ranks(); })
      .def_property_readonly("num_experts", [](const Plan& p) { return p.placement().experts(); })
      .def_property_readonly("verdicts", &Plan::verdicts,
                             "Per layer: peak_load, imbalance, keep, hasty, duplicates.")
      .def_property_readonly("result", &Plan::result,
                             "Everything that `moeshift plan` says, as its JSON's `result`.")
      .def_property_readonly(
          "metrics", [](Plan& p) -> py::object { return p.result()["metrics"]; },
          "balancedness, imbalance, peak_load, gap_mean, ... (docs/metrics.md).")
      .def_property_readonly(
          "layers", [](Plan& p) -> py::object { return p.result()["layers"]; },
          "Per layer: imbalance, tight lower_bound, gap, keep, duplicates, hasty.")
      .def_property_readonly("placement", &Plan::file, "The map, and what it was made for.")
      .def_property_readonly("old", &Plan::old, "The placement it was made from, or None.")
      .def("_text", &Plan::text);
  module.def("plan", &plan, py::arg("window"), py::arg("old"), py::arg("old_ranks"),
             py::arg("words"), py::arg("inputs"), py::arg("seed"), py::arg("threads"));
}

}  // namespace moeshift::python
