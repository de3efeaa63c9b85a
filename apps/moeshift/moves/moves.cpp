// SPDX-License-Identifier: Apache-2.0
// moeshift moves: from two placements to what must move, in which order, and how long it takes.
#include <algorithm>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/number_text.hpp"
#include "moeshift/cost/transfer_cost.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/move_task.hpp"
#include "apps/moeshift/moves/against_peer.hpp"
#include "apps/moeshift/moves/commands.hpp"
#include "apps/moeshift/moves/moves_page.hpp"
#include "apps/moeshift/moves/moves_report.hpp"
#include "apps/moeshift/moves/schedule_options.hpp"

namespace moeshift::cli {
namespace {

class Moves final : public Command {
 public:
  void declare(Options& options) override {
    rearrangement_.declare(options);
    options.choice("--mode", mode_, {"sync", "async"}, "whether inference stands still meanwhile");
    options.option("--link-share", cost_.background_share,
                   "share of every link that the model leaves to the rearrangement");
    std::vector<std::string> peers = peer_schedule_names();
    peers.emplace_back("none");
    options.choice("--against", against_, peers,
                   "also say what each feature saves against a peer's schedule");
    options.option("--matrix", matrix_,
                   "file for the traffic matrix that alltoallv_perf of nccl-tests reads");
    options.option("--rounds", rounds_,
                   "layer, by its number in the model, whose rounds are drawn");
    options.section("schedule");
    schedule_.declare(options);
  }

  ExitCode run(Session& session) override {
    check_options();
    const MoveTask task = rearrangement_.load(session);
    TransferPlan plan = schedule_.make_plan(task, session.threads());
    number_layers(plan, task);
    cost_.buffers = schedule_.buffer_sets();
    cost_.synchronous = mode_ == "sync";
    const TransferCost cost = price(plan, task.topology, task.cluster, cost_);
    if (matrix_) {
      session.write_file(*matrix_, [&](std::ostream& out) { write_traffic_matrix(out, plan); });
    }
    Report answer = report(task, plan, cost);
    if (against_ != "none") {
      const AgainstPeer against =
          compare_with_peer(against_, task, plan, cost, cost_, session.threads());
      answer.result()["against"] = against_json(against);
      answer.table(against_table(against));
      answer.add(against_chart(against));
      answer.add(Conclusion{against_line(against), Tone::kPlain, {}});
    }
    session.emit(answer);
    return ExitCode::kGood;
  }

 private:
  void check_options() const {
    static_cast<void>(schedule_.buffer_sets());
    if (against_ != "none" && schedule_.schedule != "best") {
      throw InputError("--against", "expected --schedule best with it");
    }
    if (against_ != "none" && !schedule_.dead.empty()) {
      throw InputError("--against", "peers take every rank for alive: not with --dead");
    }
    if (cost_.background_share > 0 && cost_.background_share <= 1) return;
    throw InputError("--link-share", "expected more than 0 and at most 1");
  }

  [[nodiscard]] Report report(const MoveTask& task, const TransferPlan& plan,
                              const TransferCost& cost) const {
    Report report("moves", "What must move");
    report.result() = {{"schedule", schedule_.schedule},
                       {"mode", mode_},
                       {"totals", totals_json(plan, cost)},
                       {"plan_hash", plan.hash},
                       {"layers", layers_json(plan, cost)}};
    if (plan.ranks <= kMostRanksShown) report.result()["traffic_bytes"] = traffic_json(plan);
    report.note(fmt::format("{} on {}: {}, {} -> {}, {}, {} per expert", task.model.name,
                            task.cluster.name, counted(plan.layers.size(), "layer"), plan.old_ranks,
                            counted(plan.new_ranks, "rank"), counted(task.topology.nodes(), "node"),
                            human_sizes(plan.sizes)));
    if (rounds_) {
      add_rounds(report, plan);
    } else {
      report.table(layers_table(plan, cost));
    }
    report.table(totals_table(plan, cost));
    add_moves_page(plan, cost, report);
    return report;
  }

  static constexpr std::size_t kMostRanksShown = 128;  ///< a larger matrix helps nobody

  void add_rounds(Report& report, const TransferPlan& plan) const {
    const auto found =
        std::find_if(plan.layers.begin(), plan.layers.end(),
                     [&](const LayerMoves& moves) { return moves.layer == LayerId(*rounds_); });
    if (found == plan.layers.end()) {
      throw InputError(
          "--rounds", fmt::format("expected a layer in {} .. {}", plan.layers.front().layer.value(),
                                  plan.layers.back().layer.value()));
    }
    const LayerMoves& layer = *found;
    if (layer.waves.empty()) report.note(fmt::format("layer {} stays as it is", *rounds_));
    for (std::size_t i = 0; i < layer.waves.size(); ++i) {
      for (Table& table : round_tables(layer.waves[i], i)) report.table(std::move(table));
    }
  }

  MoveTaskOptions rearrangement_;
  CostOptions cost_;
  ScheduleChoice schedule_;
  std::string mode_ = "sync";
  std::string against_ = "none";
  std::optional<std::string> matrix_;
  std::optional<std::size_t> rounds_;
};

}  // namespace

std::unique_ptr<Command> make_moves() {
  return std::make_unique<Moves>();
}

}  // namespace moeshift::cli
