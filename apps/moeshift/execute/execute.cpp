// SPDX-License-Identifier: Apache-2.0
// moeshift execute: performs a rearrangement with real buffers and compares every byte.
#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/cost/felt.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/drill/drilled_world.hpp"
#include "moeshift/execute/journal/journal_file.hpp"
#include "moeshift/execute/journal/resume.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/report/chrome_trace.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/cli/atomic_file.hpp"
#include "apps/moeshift/cli/interrupt.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/execute/commands.hpp"
#include "apps/moeshift/execute/execute_options.hpp"
#include "apps/moeshift/execute/execute_report.hpp"
#include "apps/moeshift/execute/execute_timeline.hpp"
#include "apps/moeshift/execute/process_place.hpp"
#include "apps/moeshift/execute/rank_processes.hpp"
#include "apps/moeshift/execute/shuffle_progress.hpp"

namespace moeshift::cli {
namespace {

Placement some_layers(const Placement& placement, LayerRange range) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(range.last - range.first, placement.slots());
  for (const LayerId layer : slots.row_ids()) {
    const auto row = placement.layer(LayerId(layer.index() + range.first));
    std::copy(row.begin(), row.end(), slots.row(layer).begin());
  }
  return Placement(placement.experts(), placement.ranks(), std::move(slots));
}

/// What is left of a placement when these ranks have lost their memory.
Placement without(const Placement& placement, const std::vector<RankId>& dead) {
  IdMatrix<LayerId, SlotId, ExpertId> slots = placement.physical_to_logical();
  for (const LayerId layer : slots.row_ids()) {
    for (const SlotId slot : slots.column_ids()) {
      const bool lost = std::ranges::count(dead, placement.rank_of(slot)) > 0;
      if (lost) slots(layer, slot) = ExpertId::none();
    }
  }
  return Placement(placement.experts(), placement.ranks(), std::move(slots));
}

class Execute final : public Command {
 public:
  void declare(Options& options) override { options_.declare(options); }

  ExitCode run(Session& session) override {
    outlive_closed_pipes();
    take_time_to_end();
    const Backend& backend = usable_backend();
    const std::optional<ProcessPlace> place = place_of(backend);
    if (!place || place->started_by != "moeshift") return perform_here(session, backend, place);
    try {
      return perform_here(session, backend, place);
    } catch (const InterruptedError&) {
      return ExitCode::kInterrupted;  // our launcher says it, once for all ranks
    } catch (const DeviceError&) {
      if (session.progress().interrupted()) return ExitCode::kInterrupted;  // peers stopped sooner
      throw;
    }
  }

 private:
  ExitCode perform_here(Session& session, const Backend& backend,
                        const std::optional<ProcessPlace>& place) {
    static_cast<void>(options_.shuffle(session.seed(), Seconds(0.0)));  // refuse before anything
    if (options_.journal) refuse_shared_journal(session.common().output);
    if (!place || place->rank == RankId(0)) say_unused(session, place.has_value());
    const MoveTask task = options_.rearrangement.load(session);
    const LayerRange range = options_.layer_range(task.layer_ids);
    WorldRequest world{.ranks = task.topology.ranks(),
                       .timeout = options_.joining_timeout(),
                       .place = place,
                       .settings = options_.settings(),
                       .interrupted = [&session] { return session.progress().interrupted(); }};
    if (backend.name == "auto") world.settings["nodes"] = std::to_string(task.topology.nodes());
    if (backend.launch(world) == Launch::kSpawn) {
      refuse_standard_input();
      return run_rank_processes(session, backend, world);
    }
    const std::vector<RankId> dead = options_.schedule.dead_ranks();
    Placement old = without(some_layers(task.old, range), dead);
    const Placement next = some_layers(task.next, range);
    ShuffleJob job{nullptr, &old, &next,
                   expert_layouts(task.model, range.first, range.last, options_.scale_share())};

    refuse_uneven_flips(job.layout.sizes(), range);
    ScheduleOptions schedule = options_.schedule_options(task.cluster, backend.join);
    const auto plan_from = [&](const Placement& from) {
      ShuffleJob start = job;
      start.old = &from;
      TransferPlan plan = make_plan(session, task, start, range, schedule);
      schedule.dead_ranks.clear();  // from here on they hold what they were sent
      return plan;
    };
    const bool leader = !place || place->rank == RankId(0);
    const std::unique_ptr<JournalFile> journal = open_journal(leader, world.timeout);
    TransferPlan plan = plan_from(old);
    if (options_.resume) {
      const Journal before = journal->read();
      if (before.runs.empty() && leader) {
        session.say(before.source + ": nothing has happened by this journal; beginning afresh");
      }
      if (const std::string doubt = doubt_of(before); leader && !doubt.empty()) session.say(doubt);
      old = placement_after(before, old, next, [&](const Placement& from, std::size_t run) {
        return run == 1 ? plan : plan_from(from);
      });
      if (!before.runs.empty()) plan = plan_from(old);
    }
    if (journal) {
      journal->start({.old_placement = content_hash(old),
                      .new_placement = content_hash(next),
                      .plan = plan.hash,
                      .ranks = plan.ranks});
    }
    job.plan = &plan;
    ShuffleJob back{nullptr, &next, &old, job.layout};
    TransferPlan way_back;
    if (options_.repeat > 1) {
      way_back = make_plan(session, task, back, range, schedule);
      back.plan = &way_back;
      job.back = &back;
    }
    Execution execution = perform(session, backend, task, job, journal.get(), world);
    return conclude(session, std::move(execution), leader);
  }

  /// A cell that changes roles belongs to any layer.
  void refuse_uneven_flips(const ExpertSizes& sizes, LayerRange range) const {
    if (options_.commit != "flip") return;
    if (options_.memory_image) {
      throw InputError("--commit",
                       "an image does not say which cell each slot was: expected --commit copy");
    }
    for (std::size_t layer = 0; layer < range.last - range.first; ++layer) {
      if (sizes.largest(LayerId(layer)) == sizes.largest()) continue;
      throw InputError("--commit",
                       fmt::format("layers {} and another have slots of different sizes, which "
                                   "cannot change places: expected --commit copy",
                                   range.first + layer));
    }
  }

  void refuse_standard_input() const {
    if (options_.rearrangement.old_path == "-" || options_.rearrangement.new_path == "-") {
      throw InputError("-", "every rank reads the placements itself: expected files");
    }
  }

  /// A result renamed over the journal would be the end of it, and the journal that of an input.
  void refuse_shared_journal(const std::string& output) const {
    for (const std::string& other :
         {output, options_.timeline.value_or("-"), options_.rearrangement.old_path,
          options_.rearrangement.new_path, options_.rearrangement.model.value_or("-"),
          options_.rearrangement.cluster.value_or("-")}) {
      if (other != "-" && is_same_file(other, *options_.journal)) {
        throw InputError("--journal",
                         "expected a file of its own, found that of another option: " + other);
      }
    }
    if (*options_.journal == "-") throw InputError("--journal", "expected a file, found -");
  }

  void say_unused(Session& session, bool one_of_many) const {
    for (const std::string& line : options_.unused()) session.say(line);
    if (!one_of_many && !options_.rendezvous.empty()) {
      session.say("--rendezvous is not used: this process was not started as one of several");
    }
  }

  [[nodiscard]] const Backend& usable_backend() const {
    const bool gpus = find_backend("auto").unavailable_reason().empty();
    const std::string_view usual = gpus ? "auto" : "host";
    const Backend& backend = find_backend(options_.backend.empty() ? usual : options_.backend);
    const std::string reason = backend.unavailable_reason();
    if (!reason.empty()) {
      throw DeviceError(fmt::format("backend {} cannot be used here: {}", backend.name, reason));
    }
    return backend;
  }

  /// Our place among processes that a launcher started, if the backend can be one of many.
  [[nodiscard]] std::optional<ProcessPlace> place_of(const Backend& backend) const {
    if (!backend.spans_processes && !options_.rank_processes) return std::nullopt;
    std::optional<ProcessPlace> place = process_place(process_environment());
    if (place && !options_.rendezvous.empty()) place->rendezvous = options_.rendezvous;
    return place;
  }

  /// The plan of the chosen layers, which keep the numbers they have in the whole model.
  [[nodiscard]] TransferPlan make_plan(Session& session, const MoveTask& task,
                                       const ShuffleJob& job, LayerRange range,
                                       const ScheduleOptions& schedule) const {
    const auto tensors = static_cast<std::uint32_t>(job.layout.tensors());
    const std::optional<PeerSchedule> peer = options_.schedule.peer();
    if (peer) options_.schedule.refuse_for_peers();
    TransferPlan plan = peer ? make_peer_plan(*peer, *job.old, *job.next, task.topology,
                                              job.layout.sizes(), tensors, session.threads())
                             : make_transfer_plan(*job.old, *job.next, task.topology,
                                                  job.layout.sizes(), schedule, session.threads());
    number_layers(plan, task, range.first);
    return plan;
  }

  [[nodiscard]] std::unique_ptr<JournalFile> open_journal(bool leader, Seconds patience) const {
    if (!options_.journal) {
      if (options_.resume) throw InputError("--resume", "expected --journal FILE with it");
      return nullptr;
    }
    const JournalUse use = !leader           ? JournalUse::kJoin
                           : options_.resume ? JournalUse::kResume
                                             : JournalUse::kStart;
    try {
      return std::make_unique<JournalFile>(*options_.journal, use, patience);
    } catch (const UsedJournal& error) {
      throw InputError("", error.what() + std::string("; --resume goes on with it"));
    }
  }

  Execution perform(Session& session, const Backend& backend, const MoveTask& task,
                    const ShuffleJob& job, JournalFile* journal,
                    const WorldRequest& world_options) {
    Execution execution{
        .transport = std::string(backend.name),
        .mode = options_.mode,
        .job = &job,
        .predicted = predict(backend, task, job, {}),
        .ranks = {},
        .facts = {},
        .phases = {},
        .stages_apart = options_.lockstep,
        .calibrated_on = task.cluster.engine ? task.cluster.engine->transport : std::string()};
    ShuffleOptions shuffle = options_.shuffle(session.seed(), execution.predicted.total);
    shuffle.buffers = sets_for(backend, job);
    session.expect({{"", 1}});
    ShuffleProgress progress(work_of(job, shuffle), session.progress());
    shuffle.observers.push_back(&progress);
    if (journal != nullptr) shuffle.observers.push_back(journal);
    shuffle.decisions = journal;
    shuffle.interrupted = [&session] { return session.progress().interrupted(); };
    std::unique_ptr<World> world = backend.open(world_options);
    if (options_.drills) {
      const std::vector<FaultDrill> drills = parse_fault_drills(*options_.drills);
      refuse_idle_drills(drills, *job.plan);
      world = std::make_unique<DrilledWorld>(std::move(world), drills);
    }
    if (world->local_ranks()[0] == RankId(0)) say_memory(session, backend, job, shuffle);
    execution.ranks = run_world(*world, job, shuffle);
    execution.facts = world->facts();
    // Measured is the last repetition, which may have been the way back; and now a step of the load
    // is known.
    const ShuffleJob& last = job.back != nullptr && options_.repeat % 2 == 0 ? *job.back : job;
    execution.job = &last;
    execution.phases = phases_of(*last.plan, execution.ranks);
    const std::vector<Seconds> steps = steps_of(execution, &RankOutcome::undisturbed);
    execution.predicted = predict(backend, task, last, percentile(steps, 0.5));
    if (!steps.empty()) {
      execution.predicted_step = predict_step(backend, task, execution, percentile(steps, 0.5));
    }
    return execution;
  }

  /// A step of the load in the mean of all that the rearrangement lasts, commits included. Nothing
  /// where it would be guessed: thread blocks of NCCL that nobody has limited.
  [[nodiscard]] std::optional<Seconds> predict_step(const Backend& backend, const MoveTask& task,
                                                    const Execution& execution,
                                                    Seconds alone) const {
    if (options_.mode != "async" || alone.count() <= 0) return std::nullopt;
    const std::optional<StepBound> bound = options_.step_bound();
    const std::optional<double> share = options_.staging_share(backend, execution.ranks);
    if (!bound || (*bound == StepBound::kCompute && !share)) return std::nullopt;
    const Bytes largest = execution.job->layout.sizes().largest();
    const StagingShare staging{.gathered = largest < backend.pack_below,
                               .multiprocessors = share.value_or(0.0)};
    const Seconds taken =
        taken_from_steps(*execution.job->plan, task.cluster, execution.predicted, *bound, staging);
    const double count = std::max(ratio(execution.predicted.total, alone), 1.0);
    return alone + (taken + execution.predicted.exposed) / count;
  }

  /// The same on the way there and on the way back.
  [[nodiscard]] std::size_t sets_for(const Backend& backend, const ShuffleJob& job) const {
    const Bytes back = job.back != nullptr ? largest_batch(*job.back->plan) : Bytes(0);
    const Bytes largest = std::max(largest_batch(*job.plan), back);
    return options_.buffer_sets(buffer_sets(largest, backend.sets_of_small_batches));
  }

  /// @param step of the load, undisturbed; 0 = there is none, and nothing waits for steps.
  [[nodiscard]] TransferCost predict(const Backend& backend, const MoveTask& task,
                                     const ShuffleJob& job, Seconds step) const {
    CostOptions cost;
    cost.buffers = sets_for(backend, job);
    cost.synchronous = options_.mode != "async";
    cost.flips = options_.commit == "flip";
    const ShuffleOptions how = options_.shuffle(0, Seconds());
    const bool beside = how.mode == ShuffleMode::kAsync;
    if (how.mode == ShuffleMode::kLayered || (beside && step.count() > 0)) {
      cost.steps = SteppedMode{.step = step,
                               .beside = beside,
                               .layers_per_step = how.layers_per_step,
                               .commits_per_step = how.commits_per_step};
    }
    TransferCost predicted = price(*job.plan, task.topology, task.cluster, cost);
    predicted.total -= predicted.connection;
    if (!cost.steps && cost.synchronous) predicted.exposed = predicted.total;
    return predicted;
  }

  static void say_memory(Session& session, const Backend& backend, const ShuffleJob& job,
                         const ShuffleOptions& shuffle) {
    Bytes most;
    Bytes all;
    for (const Bytes rank : memory_needed(job, shuffle, backend.pack_below)) {
      most = std::max(most, rank);
      all += rank;
    }
    session.say(fmt::format("memory: {} on the fullest rank, {} on all {} ranks; timeout {}",
                            human(most), human(all), job.plan->ranks, human(shuffle.timeout)));
  }

  ExitCode conclude(Session& session, Execution execution, bool leader) {
    // Found before anything was moved: there is nothing to report.
    if (execution.ranks[0].infeasible) {
      throw InfeasibleError(execution.ranks[0].failure->message() +
                            "; lower --layers, --scale or --buffers");
    }
    if (options_.timeline && leader) {
      session.write_file(*options_.timeline, [&](std::ostream& out) {
        write_chrome_trace(out, joint_timeline(execution));
      });
    }
    if (leader) session.emit(execution_report(execution));
    for (const std::string& line : fault_lines(execution, 10)) session.warn(line);
    const auto failure = execution.failure();
    if (!failure) return judge(execution);
    session.warn(survey_line(execution));
    // Peers that stopped a moment earlier look like a failure to one that is about to stop.
    const bool stopped = failure->interrupted || session.progress().interrupted();
    if (!stopped) throw ShuffleFailure(*failure);
    if (leader) session.warn(failure->message());
    throw InterruptedError();
  }

  [[nodiscard]] ExitCode judge(const Execution& execution) const {
    const bool good = options_.no_verify || execution.verified();
    return good ? ExitCode::kGood : ExitCode::kNegative;
  }

  ExecuteOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_execute() {
  return std::make_unique<Execute>();
}

}  // namespace moeshift::cli
