// SPDX-License-Identifier: Apache-2.0
// The half of a lane that lives through ranks failing, joining and leaving.
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/simulate/lane.hpp"

namespace moeshift {

/// @return how long the world stands still for it.
Seconds Lane::change_world() {
  Seconds stall;
  for (; next_event_ < settings_.events.size(); ++next_event_) {
    const WorldEvent& event = settings_.events[next_event_];
    if (event.step > result_.steps) break;
    run_.abort();
    if (moving_) finish_record();
    WorldEventRecord record;
    record.event = event;
    if (event.kind == WorldEvent::Kind::kFail) {
      fail_rank(event.rank, record);
    } else {
      resize(event.ranks, record);
    }
    record.ranks_serving = model_.ranks_serving();
    stall += record.reload + record.stall;
    result_.outage += record.reload;
    result_.exposed += record.stall;
    result_.events.push_back(record);
    queue_.restart(result_.steps);
    promised_imbalance_.reset();
    if (settings_.oracle && known_load_) rearrange_for(*known_load_);
  }
  return stall;
}

void Lane::set_serving(std::vector<bool> serving) {
  serving_ = std::move(serving);
  inactive_.clear();
  std::set<NodeId> nodes;
  for (const RankId rank : all_ids<RankId>(serving_.size())) {
    if (serving_[rank.index()]) {
      nodes.insert(deployment_.topology().node_of(rank));
    } else {
      inactive_.push_back(rank);
    }
  }
  settings_.dispatch.silent = inactive_;
  const std::size_t count = serving_.size() - inactive_.size();
  if (count == 0) throw InputError("", "no rank is left to serve");
  model_ = deployment_.model.among(count, nodes.size());
}

void Lane::replace_placement(Placement placement) {
  placement_ = std::move(placement);
  target_ = placement_;
  slots_before_ = placement_.physical_to_logical();
  std::fill(dispatch_before_.begin(), dispatch_before_.end(), LayerDispatch());
  dispatch_ = dispatch_of(placement_, {});
  served_valid_ = false;
}

void Lane::fail_rank(RankId rank, WorldEventRecord& record) {
  if (std::find(failed_.begin(), failed_.end(), rank) != failed_.end()) return;
  failed_.insert(std::upper_bound(failed_.begin(), failed_.end(), rank), rank);
  std::vector<bool> serving = serving_;
  serving[rank.index()] = false;
  set_serving(std::move(serving));
  placement_ = without_ranks(placement_, serving_);
  reload_lost(record);
  next_decision_ = result_.steps;
}

void Lane::reload_lost(WorldEventRecord& record) {
  const std::vector<Reload> reloads = plan_reloads(placement_, serving_);
  record.experts_lost = reloads.size();
  if (!reloads.empty() && !settings_.reload) {
    throw InputError("",
                     fmt::format("step {}: rank {} alone held {}; say how fast a rank reads "
                                 "experts from storage, or place them more than once",
                                 record.event.step, record.event.rank.value(), describe(reloads)));
  }
  IdMatrix<LayerId, SlotId, ExpertId> slots = placement_.physical_to_logical();
  std::vector<Bytes> reads(placement_.ranks());
  for (const Reload& reload : reloads) {
    slots(reload.layer, reload.slot) = reload.expert;
    reads[placement_.rank_of(reload.slot).index()] +=
        deployment_.expert_sizes(reload.layer, reload.expert);
  }
  if (!reloads.empty()) {
    record.reload = *std::max_element(reads.begin(), reads.end()) / *settings_.reload;
  }
  replace_placement(Placement(placement_.experts(), placement_.ranks(), std::move(slots)));
}

/// The world stops, whatever the mode: ranks may leave only when what they held has arrived.
void Lane::resize(std::size_t ranks, WorldEventRecord& record) {
  std::vector<bool> serving(serving_.size());
  for (std::size_t rank = 0; rank < ranks; ++rank) serving[rank] = true;
  for (const RankId rank : failed_) serving[rank.index()] = false;
  set_serving(std::move(serving));
  const bool known = settings_.planner != nullptr && !settings_.oracle && forecaster_->ready();
  Forecast forecast;
  if (known) {
    forecast = forecaster_->forecast();
  } else {
    forecast.load = LoadMatrix(placement_.layers(), placement_.experts(), 1.0);
  }
  PlanProblem problem = problem_of(forecast);
  std::shared_ptr<const Planner> planner = settings_.planner;
  if (planner == nullptr) {
    planner = make_planner("static");
    problem.old = nullptr;  // which it would keep
  }
  NoProgress progress;
  Placement next = planner->plan(problem, Threads{1}, progress).placement;
  const TransferPlan plan = make_transfer_plan(placement_, next, deployment_.topology(),
                                               deployment_.expert_sizes, schedule(), Threads{1});
  const TransferCost cost =
      price(plan, deployment_.topology(), deployment_.cluster, {.buffers = settings_.mode.buffers});
  const TransferTotals totals = totals_of(plan);
  RearrangementRecord moved;
  moved.cause = RearrangementRecord::Cause::kResize;
  moved.step = result_.steps;
  moved.finished_step = result_.steps;
  moved.layers = static_cast<std::size_t>(std::count_if(
      plan.layers.begin(), plan.layers.end(), [](const auto& l) { return !l.waves.empty(); }));
  moved.transfers = totals.transfers;
  moved.bytes = totals.bytes_by_link;
  if (settings_.price == TransferPrice::kFull) moved.exposed = moved.predicted = cost.total;
  record.stall = moved.exposed;
  result_.bytes += moved.bytes;
  result_.layers_moved += moved.layers;
  connected_ = true;
  open_record(moved);
  replace_placement(std::move(next));
  planned_at_ = result_.steps;
  next_decision_ = result_.steps + settings_.rule.interval;
}

}  // namespace moeshift
