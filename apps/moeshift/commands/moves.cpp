// SPDX-License-Identifier: Apache-2.0
// moeshift moves: from two placements to what must move, in which order, and how long it takes.
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/commands/commands.hpp"
#include "apps/moeshift/moves_report.hpp"
#include "apps/moeshift/rearrangement.hpp"
#include "apps/moeshift/session.hpp"

namespace moeshift::cli {
namespace {

class Moves final : public Command {
 public:
  void declare(Options& options) override {
    rearrangement_.declare(options);
    options.option("--staging-bytes", staging_, "staging memory per rank; default: as needed");
    options.option("--buffers", cost_.buffers, "layers in flight per rank");
    options.choice("--mode", mode_, {"sync", "async"}, "whether inference stands still meanwhile");
    options.option("--link-share", cost_.background_share,
                   "share of every link that the model leaves to the rearrangement");
    options.choice("--schedule", schedule_, {"moeshift", "vllm", "vllm-batched", "sglang"},
                   "whose order of transfers");
    options.option("--matrix", matrix_,
                   "file for the traffic matrix that alltoallv_perf of nccl-tests reads");
    options.option("--explain", explain_, "layer (counted from 0) whose rounds are drawn");
  }

  ExitCode run(Session& session) override {
    check_options();
    const Rearrangement task = rearrangement_.load(session);
    const TransferPlan plan = make_plan(session, task);
    cost_.synchronous = mode_ == "sync";
    const TransferCost cost = price(plan, task.topology, task.cluster, cost_);
    if (matrix_) {
      session.write_file(*matrix_, [&](std::ostream& out) { write_traffic_matrix(out, plan); });
    }
    session.emit(report(task, plan, cost));
    return ExitCode::kGood;
  }

 private:
  void check_options() const {
    if (cost_.buffers == 0) throw InputError("--buffers", "expected at least 1");
    if (cost_.background_share > 0 && cost_.background_share <= 1) return;
    throw InputError("--link-share", "expected more than 0 and at most 1");
  }

  [[nodiscard]] TransferPlan make_plan(Session& session, const Rearrangement& task) const {
    const Bytes bytes = task.model.expert_bytes();
    if (schedule_ == "moeshift") {
      ScheduleOptions options;
      options.staging_bytes = staging_;
      options.inter_round_per_intra_round =
          task.cluster.intra_node.egress.count() / task.cluster.inter_node.egress.count();
      return make_transfer_plan(task.old, task.next, task.topology, bytes, options,
                                session.threads());
    }
    if (staging_) throw InputError("--staging-bytes", "peers do not keep a budget");
    const PeerSchedule peer = schedule_ == "vllm"           ? PeerSchedule::kVllm
                              : schedule_ == "vllm-batched" ? PeerSchedule::kVllmBatched
                                                            : PeerSchedule::kSglang;
    const auto tensors = static_cast<std::uint32_t>(task.model.expert_tensors.size());
    return make_peer_plan(peer, task.old, task.next, task.topology, bytes, tensors,
                          session.threads());
  }

  [[nodiscard]] Report report(const Rearrangement& task, const TransferPlan& plan,
                              const TransferCost& cost) const {
    Report report("moves");
    report.result() = {{"schedule", schedule_},
                       {"mode", mode_},
                       {"totals", totals_json(plan, cost)},
                       {"plan_hash", plan.hash},
                       {"layers", layers_json(plan, cost)}};
    report.note(fmt::format("{} on {}: {} layers, {} -> {} ranks, {} nodes, {} per expert",
                            task.model.name, task.cluster.name, plan.layers.size(), plan.old_ranks,
                            plan.new_ranks, task.topology.nodes(), human(plan.expert_bytes)));
    if (explain_) {
      add_rounds(report, plan);
    } else {
      report.table(layers_table(plan, cost));
    }
    report.table(totals_table(plan, cost));
    return report;
  }

  void add_rounds(Report& report, const TransferPlan& plan) const {
    if (*explain_ >= plan.layers.size()) {
      throw InputError("--explain", fmt::format("expected 0 .. {}", plan.layers.size() - 1));
    }
    const LayerMoves& layer = plan.layers[*explain_];
    if (layer.waves.empty()) report.note(fmt::format("layer {} stays as it is", *explain_));
    for (std::size_t i = 0; i < layer.waves.size(); ++i) {
      for (Table& table : round_tables(layer.waves[i], i)) report.table(std::move(table));
    }
  }

  RearrangementOptions rearrangement_;
  CostOptions cost_;
  std::optional<Bytes> staging_;
  std::string mode_ = "sync";
  std::string schedule_ = "moeshift";
  std::optional<std::string> matrix_;
  std::optional<std::size_t> explain_;
};

}  // namespace

std::unique_ptr<Command> make_moves() {
  return std::make_unique<Moves>();
}

}  // namespace moeshift::cli
