// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/pipeline.hpp"

#include <utility>

namespace moeshift {
namespace {

bool finished(std::unique_ptr<Pending>& pending, Seconds& device) {
  if (pending && pending->poll()) {
    device += pending->device_time().value_or(Seconds(0.0));
    pending.reset();
  }
  return pending == nullptr;
}

Bytes bytes_sent(const ExchangeStep& step) {
  Bytes sent;
  for (const PlannedMessage& message : step.messages) {
    if (message.direction == Direction::kSend) sent += message.bytes;
  }
  return sent;
}

}  // namespace

Pipeline::Pipeline(Member& member, const RankProgram& program, const RankMemory& memory,
                   const ShuffleOptions& options, Rearrangement& machine, PipelineEvents events)
    : member_(member),
      program_(program),
      memory_(memory),
      options_(options),
      machine_(machine),
      events_(std::move(events)),
      next_send_(SteadyClock::now()) {}

void Pipeline::advance() {
  launch();
  bool earlier_all_issued = true;
  for (Flight& flight : flights_) {
    busy_with_ = flight.unit;
    step(flight, earlier_all_issued);
    busy_with_.reset();
    earlier_all_issued &= flight.next_step == program_.units[flight.unit].steps.size();
  }
  const std::size_t staged_units = machine_.layers_committed() + staged();
  while (machine_.layers_staged() < staged_units) machine_.staging_finished();
}

void Pipeline::launch() {
  while (const auto next = machine_.next_to_stage()) {
    const StagingUnit& unit = program_.units[*next];
    if (unit.follows_wave && committed_everywhere_ < *next) return;
    machine_.staging_started();
    Flight& flight = flights_.emplace_back();
    flight.unit = *next;
    flight.set = *next % options_.buffers;
    flight.started = SteadyClock::now();
    events_.begins(flight);
    if (unit.steps.empty()) events_.issues(flight);
    if (unit.stage.empty()) continue;
    flight.stage = member_.memory->copy(memory_.copies(unit.stage, flight.set), CopyLane::kStage);
  }
}

void Pipeline::step(Flight& flight, bool may_issue) {
  if (flight.staged) return;
  const StagingUnit& unit = program_.units[flight.unit];
  while (may_issue && flight.next_step < unit.steps.size()) {
    const ExchangeStep& next = unit.steps[flight.next_step];
    if (!ready_to_issue(flight, next)) break;
    issue(flight, next);
  }
  collect_arrivals(flight);
  const bool copied = finished(flight.stage, flight.device);
  if (!copied || !flight.exchanges.empty() || flight.next_step < unit.steps.size()) return;
  flight.staged = SteadyClock::now();
  events_.staged(flight);
}

bool Pipeline::ready_to_issue(Flight& flight, const ExchangeStep& step) {
  if (step.relays) {
    collect_arrivals(flight);
    if (!flight.exchanges.empty() || !finished(flight.stage, flight.device)) return false;
  }
  if (!paced(step)) return false;
  if (step.gather.empty()) return true;
  if (!flight.gather) {
    flight.gather = member_.memory->copy(memory_.copies(step.gather, flight.set), CopyLane::kStage);
  }
  if (!flight.gather->poll()) return false;
  flight.device += flight.gather->device_time().value_or(Seconds(0.0));
  return true;
}

void Pipeline::collect_arrivals(Flight& flight) {
  std::erase_if(flight.exchanges, [&](Flight::Arrival& arrival) {
    if (!finished(arrival.work, flight.device)) return false;
    if (arrival.scatter == nullptr || arrival.scatter->empty()) return true;
    arrival.work = member_.memory->copy(
        memory_.copies(*std::exchange(arrival.scatter, nullptr), flight.set), CopyLane::kStage);
    return false;
  });
}

void Pipeline::issue(Flight& flight, const ExchangeStep& step) {
  flight.gather.reset();
  if (flight.next_step == 0) events_.issues(flight);
  const std::vector<Message> messages = memory_.messages(step.messages, flight.set);
  if (!messages.empty()) {
    flight.exchanges.push_back({member_.transport->exchange(messages), &step.scatter});
  }
  if (options_.max_rate) {
    const Seconds takes = bytes_sent(step) / *options_.max_rate;
    next_send_ = std::max(next_send_, SteadyClock::now()) +
                 std::chrono::duration_cast<SteadyClock::duration>(
                     std::chrono::duration<double>(takes.count()));
  }
  ++flight.next_step;
}

bool Pipeline::paced(const ExchangeStep& step) {
  return !options_.max_rate || bytes_sent(step).count() == 0 || SteadyClock::now() >= next_send_;
}

/// Units from the front that are wholly staged.
std::size_t Pipeline::staged() const {
  std::size_t count = 0;
  while (count < flights_.size() && flights_[count].staged) ++count;
  return count;
}

void Pipeline::pop() {
  flights_.pop_front();
}

std::vector<RankId> Pipeline::waiting_for() const {
  if (flights_.empty()) return {};
  for (const Flight::Arrival& exchange : flights_.front().exchanges) {
    std::vector<RankId> ranks = exchange.work->waiting_for();
    if (!ranks.empty()) return ranks;
  }
  return {};
}

}  // namespace moeshift
