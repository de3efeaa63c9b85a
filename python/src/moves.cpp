// SPDX-License-Identifier: Apache-2.0
// What must move between two placements: every transfer, and what it costs.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/move_task.hpp"
#include "apps/moeshift/moves/moves_report.hpp"
#include "apps/moeshift/moves/schedule_options.hpp"
#include "bindings.hpp"
#include "call_host.hpp"
#include "values.hpp"

namespace moeshift::python {
namespace {

namespace py = pybind11;

/// A row of `Moves.transfers`.
struct TransferRow {
  std::int32_t layer;  ///< by the model's number, where it is known
  std::int32_t expert;
  std::int32_t source;
  std::int32_t destination;
  std::int32_t slot;  ///< of the placement after; -1 = handed on from a buffer
  std::int32_t link;  ///< 1 inside a node, 2 between nodes, 3 between racks
  std::int32_t round;
  std::int64_t bytes;
};

/// A rearrangement and its price.
struct Moves {
  TransferPlan plan;
  TransferCost cost;
};

py::object totals(const Moves& moves) {
  return to_python(cli::totals_json(moves.plan, moves.cost));
}

/// Where a transfer that lands in a buffer goes live: the first commit that copies it from there.
std::int32_t slot_of(const Wave& wave, const Transfer& transfer, std::size_t slots_per_rank) {
  const auto global = [&](const Place& place) {
    return static_cast<std::int32_t>(transfer.destination.index() * slots_per_rank + place.index);
  };
  if (transfer.to.kind == Place::Kind::kLive) return global(transfer.to);
  for (const LocalCopy& copy : wave.commit_copies) {
    if (copy.rank == transfer.destination && copy.from == transfer.to &&
        copy.expert == transfer.expert) {
      return global(copy.to);
    }
  }
  return -1;
}

py::array_t<TransferRow> transfers(const Moves& moves) {
  std::vector<TransferRow> rows;
  for (std::size_t i = 0; i < moves.plan.layers.size(); ++i) {
    const LayerMoves& layer = moves.plan.layers[i];
    for (const Wave& wave : layer.waves) {
      for (const Transfer& t : wave.transfers) {
        rows.push_back({static_cast<std::int32_t>(layer.layer.value()),
                        static_cast<std::int32_t>(t.expert.value()),
                        static_cast<std::int32_t>(t.source.value()),
                        static_cast<std::int32_t>(t.destination.value()),
                        slot_of(wave, t, moves.plan.new_slots_per_rank),
                        static_cast<std::int32_t>(t.link), static_cast<std::int32_t>(t.round),
                        moves.plan.size_of(i, t.expert).count()});
      }
    }
  }
  return py::array_t<TransferRow>(static_cast<py::ssize_t>(rows.size()), rows.data());
}

/// Schedules and prices with the defaults of `moeshift moves`.
Moves moves_between(const PlacementFile& old, const PlacementFile& next,
                    const std::optional<std::string>& cluster,
                    const std::optional<std::string>& model, std::optional<std::size_t> nodes,
                    std::size_t threads) {
  CallHost host({{"old", ""}, {"new", ""}});
  cli::Session session({"moeshift", "moves"}, {}, &host);
  cli::MoveTaskOptions asked;
  asked.old_path = "old";
  asked.new_path = "new";
  asked.cluster = cluster;
  asked.model = model;
  asked.nodes = nodes;
  Moves moves;
  run_released(host.progress(), [&] {
    const cli::MoveTask task = asked.between(session, old, next);
    const cli::ScheduleChoice schedule;
    moves.plan = schedule.make_plan(task, Threads{threads});
    cli::number_layers(moves.plan, task);
    CostOptions cost;
    cost.buffers = schedule.buffer_sets();
    moves.cost = price(moves.plan, task.topology, task.cluster, cost);
  });
  host.talk();
  return moves;
}

}  // namespace

void bind_moves(py::module_& module) {
  PYBIND11_NUMPY_DTYPE(TransferRow, layer, expert, source, destination, slot, link, round, bytes);
  py::class_<Moves>(module, "Moves",
                    "What moves when one placement becomes another, and its price.")
      .def_property_readonly("totals", &totals,
                             "transfers, bytes_by_link, transfers_by_link, rounds, "
                             "predicted_seconds, ...: `result.totals` of `moeshift moves`.")
      .def_property_readonly("transfers", &transfers,
                             "A structured array: layer, expert, source, destination, slot, link, "
                             "round, bytes.")
      .def_property_readonly("plan_hash", [](const Moves& m) { return m.plan.hash; });
  module.def("moves", &moves_between, py::arg("old"), py::arg("new"), py::arg("cluster"),
             py::arg("model"), py::arg("nodes"), py::arg("threads"));
}

}  // namespace moeshift::python
