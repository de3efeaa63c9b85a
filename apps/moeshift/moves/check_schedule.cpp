// SPDX-License-Identifier: Apache-2.0
// moeshift check-schedule: a rearrangement, ours or any engine's, proven before it runs.
#include <algorithm>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/schedule/grouping.hpp"
#include "moeshift/schedule/proof/from_plan.hpp"
#include "moeshift/schedule/proof/operations_json.hpp"
#include "moeshift/schedule/proof/prove.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/move_task.hpp"
#include "apps/moeshift/inputs/placement_file.hpp"
#include "apps/moeshift/moves/check_schedule_report.hpp"
#include "apps/moeshift/moves/commands.hpp"
#include "apps/moeshift/moves/schedule_options.hpp"

namespace moeshift::cli {
namespace {

/// What is proven, and what of.
struct Subject {
  Placement old;
  Placement next;
  ExpertSizes sizes;
  OperationLists lists;
  std::string name;
};

/// The same placement, of a model with so many experts: files that do not say how many have as many
/// as their slots name.
Placement with_experts(const Placement& placement, std::size_t experts) {
  return {experts, placement.ranks(), placement.physical_to_logical()};
}

class CheckSchedule final : public Command {
 public:
  void declare(Options& options) override {
    rearrangement_.declare(options);
    options.option("--operations", operations_,
                   "file with the calls of every rank (docs/check_schedule.md), instead of "
                   "--schedule");
    options.choice("--rules", rules_, {"nccl", "hccl", "mpi"},
                   "whose rules hold besides; hccl: one item per ordered pair and call; mpi: none");
    options.option("--write", write_, "file for the calls that are checked, as --operations reads");
    schedule_.declare(options);
  }

  ExitCode run(Session& session) override {
    const Subject subject = operations_ ? recorded(session) : planned(session);
    if (write_) {
      session.write_file(*write_, [&](std::ostream& out) { write_operations(out, subject.lists); });
    }
    const Proof proof = prove(
        {subject.old, subject.next, subject.sizes, subject.lists, rules(), schedule_.dead_ranks()});
    session.emit(check_schedule_report(subject.name, rules_, subject.lists, proof));
    return proof.proven() ? ExitCode::kGood : ExitCode::kNegative;
  }

 private:
  /// Messages of a pair that one call may hold.
  [[nodiscard]] std::size_t messages_per_call() const {
    if (rules_ == "hccl") return 1;
    const auto channels = schedule_.limits.channels;
    return channels && rules_ == "nccl" ? messages_per_pair(*channels) : 0;
  }

  [[nodiscard]] ProofRules rules() const {
    ProofRules rules;
    rules.messages_per_call = messages_per_call();
    rules.calls_mirror = rules_ != "mpi";
    rules.one_call_at_a_time = rules_ != "mpi";
    return rules;
  }

  /// An order that we know, from the plan.
  Subject planned(Session& session) const {
    const MoveTask task = rearrangement_.load(session);
    ScheduleChoice choice = schedule_;
    // Here the channels are a rule that any order is held to.
    if (choice.peer()) choice.limits.channels.reset();
    TransferPlan plan = choice.make_plan(task, session.threads());
    number_layers(plan, task);
    OrderOptions order;
    order.buffers = choice.buffer_sets();
    order.votes = !choice.peer();
    if (order.votes) order.messages_per_call = messages_per_call();
    for (const ExpertTensor& tensor : task.model.expert_tensors) {
      order.tensors.push_back(tensor.bytes);
    }
    return {task.old, task.next, task.model.expert_sizes(), operations_of(plan, order),
            schedule_.schedule};
  }

  /// Calls that somebody has recorded or written down.
  Subject recorded(Session& session) const {
    refuse_schedule();
    std::optional<MoeModel> model;
    if (rearrangement_.model) model = session.load_model(*rearrangement_.model);
    const std::string name = Session::name_of_input(*operations_);
    const JsonReader json(session.document(*operations_), name);
    std::optional<Bytes> each;
    if (model && model->expert_sizes().uniform()) each = model->expert_sizes().largest();
    OperationsFile file = read_operations(json, each);
    const PlacementHints hints{
        .num_experts = model ? std::optional(model->num_experts) : std::nullopt,
        .num_ranks = rearrangement_.ranks.value_or(file.lists.ranks())};
    PlacementFile old = read_side(session, "OLD", rearrangement_.old_path, hints, model);
    PlacementFile next = read_side(session, "NEW", rearrangement_.new_path, hints, model);
    order_alike(old, next);
    const Placement& before = old.placement;
    const Placement& after = next.placement;
    const std::size_t experts = std::max(before.experts(), after.experts());
    if (!model && !file.expert_bytes) {
      throw InputError("--model", name +
                                      " does not say how large an expert is (\"expert_bytes\"): "
                                      "expected a model that does");
    }
    const ExpertSizes sizes =
        file.expert_bytes ? ExpertSizes(*file.expert_bytes) : model->expert_sizes();
    if (!sizes.fits(before.layers(), experts)) {
      throw InputError("--model", "expected the layers and experts of OLD");
    }
    return {with_experts(before, experts), with_experts(after, experts), sizes,
            std::move(file.lists), name};
  }

  /// A placement that must be of the model, where one is given.
  static PlacementFile read_side(Session& session, const std::string& side, const std::string& path,
                                 const PlacementHints& hints,
                                 const std::optional<MoeModel>& model) {
    PlacementFile file = read_placement_file(session, path, hints);
    if (!model) return file;
    file = of_moe_layers(std::move(file), model->layer_ids, model->num_hidden_layers, side);
    check_model_of(session, side, file, *model);
    return file;
  }

  void refuse_schedule() const {
    const auto refuse = [](bool given, const char* option) {
      if (given) throw InputError(option, "expected without --operations, which says what is done");
    };
    const ScheduleLimits& limits = schedule_.limits;
    refuse(schedule_.schedule != "best", "--schedule");
    refuse(schedule_.buffers.has_value(), "--buffers");
    refuse(schedule_.direct, "--direct");
    refuse(limits.staging.has_value(), "--staging-bytes");
    refuse(limits.batches, "--batch");
    refuse(limits.batch.has_value(), "--batch-bytes");
    refuse(limits.join_below.has_value(), "--join-below");
    refuse(limits.chunk.has_value(), "--chunk-bytes");
    refuse(rearrangement_.cluster.has_value(), "--cluster");
    refuse(rearrangement_.nodes.has_value(), "--nodes");
  }

  MoveTaskOptions rearrangement_;
  ScheduleChoice schedule_;
  std::optional<std::string> operations_;
  std::string rules_ = "nccl";
  std::optional<std::string> write_;
};

}  // namespace

std::unique_ptr<Command> make_check_schedule() {
  return std::make_unique<CheckSchedule>();
}

}  // namespace moeshift::cli
