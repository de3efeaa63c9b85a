// SPDX-License-Identifier: Apache-2.0
// rebalance_experts of deepseek-ai/EPLB, bit for bit, with the order of replicas that it returns.
#include "moeshift/plan/peers/eplb.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/core/parallel.hpp"
#include "moeshift/plan/layer_problem.hpp"

#include "bindings.hpp"
#include "released.hpp"
#include "values.hpp"

namespace moeshift::python {
namespace {

namespace py = pybind11;

std::vector<EplbLayer> plan_layers(const PlanProblem& problem, Threads threads,
                                   const StoppableProgress& progress) {
  const std::vector<LayerProblem> layers = layers_of(problem);
  std::vector<EplbLayer> plans(layers.size());
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    if (progress.interrupted()) throw InterruptedError();
    plans[i] = plan_by_eplb(layers[i], EplbMode::kAuto, pack_largest_first);
  });
  return plans;
}

/// (phy2log [layers, slots], log2phy [layers, experts, most replicas], logcnt [layers, experts]).
py::tuple maps_of(const std::vector<EplbLayer>& layers, std::size_t experts, std::size_t slots) {
  const auto rows = static_cast<py::ssize_t>(layers.size());
  const auto columns = static_cast<py::ssize_t>(experts);
  Int64Array phy2log({rows, static_cast<py::ssize_t>(slots)});
  Int64Array logcnt({rows, columns});
  std::int64_t* count = logcnt.mutable_data();
  std::fill(count, count + logcnt.size(), std::int64_t{0});
  std::int64_t* expert_of = phy2log.mutable_data();
  for (const EplbLayer& layer : layers) {
    for (const ExpertId expert : layer.slots) {
      *expert_of++ = expert.value();
      ++count[expert.index()];
    }
    count += experts;
  }
  const auto most =
      static_cast<std::size_t>(*std::max_element(logcnt.data(), logcnt.data() + logcnt.size()));
  Int64Array log2phy({rows, columns, static_cast<py::ssize_t>(most)});
  std::int64_t* slot_of = log2phy.mutable_data();
  std::fill(slot_of, slot_of + log2phy.size(), std::int64_t{-1});
  for (const EplbLayer& layer : layers) {
    for (std::size_t slot = 0; slot < slots; ++slot) {
      slot_of[layer.slots[slot].index() * most + layer.replica[slot]] =
          static_cast<std::int64_t>(slot);
    }
    slot_of += experts * most;
  }
  return py::make_tuple(phy2log, log2phy, logcnt);
}

/// The program's own limit: beyond it a number is a mistake, and its memory nobody has.
void require_count(const char* name, std::size_t count) {
  constexpr std::size_t kMost = 1U << 20U;
  if (count > kMost) {
    throw InputError(
        name, "expected at most " + std::to_string(kMost) + ", got " + std::to_string(count));
  }
}

py::tuple rebalance_experts(const py::object& weight, std::size_t slots, std::size_t groups,
                            std::size_t nodes, std::size_t ranks, std::size_t threads) {
  require_count("num_replicas", slots);
  require_count("num_groups", groups);
  require_count("num_nodes", nodes);
  require_count("num_gpus", ranks);
  LoadMatrix load = std::move(loads_of(py::make_tuple(weight)).front());
  // Without groups that divide by the nodes the origin plans as if there were one of each.
  const bool by_node = nodes > 0 && groups % nodes == 0;
  const PlanProblem problem{.load = std::move(load),
                            .topology = Topology(ranks, by_node ? nodes : 1),
                            .slots = slots,
                            .expert_groups = by_node ? groups : 1};
  std::vector<EplbLayer> layers;
  StoppableProgress progress;
  run_here(progress, [&] { layers = plan_layers(problem, Threads{threads}, progress); });
  return maps_of(layers, problem.experts(), slots);
}

}  // namespace

void bind_eplb(py::module_& module) {
  module.def("rebalance_experts", &rebalance_experts, py::arg("weight"), py::arg("slots"),
             py::arg("groups"), py::arg("nodes"), py::arg("ranks"), py::arg("threads"));
}

}  // namespace moeshift::python
