// SPDX-License-Identifier: Apache-2.0
#include "moeshift.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/model/shipped.hpp"
#include "moeshift/plan/deadline.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"

struct moeshift_plan {
  moeshift::PlanResult result;
};

struct moeshift_moves {
  moeshift::TransferPlan plan;
  moeshift::TransferCost cost;
};

namespace moeshift {
namespace {

thread_local std::string last_error;

moeshift_status refuse(moeshift_status status, const char* what) noexcept {
  try {
    last_error = what;
  } catch (const std::bad_alloc&) {
    last_error.clear();
  }
  return status;
}

/// Runs `work`; what it throws becomes a status.
template <class Work>
moeshift_status guarded(Work&& work) noexcept {
  try {
    work();
    return MOESHIFT_OK;
  } catch (const InputError& error) {
    return refuse(MOESHIFT_BAD_INPUT, error.what());
  } catch (const InfeasibleError& error) {
    return refuse(MOESHIFT_INFEASIBLE, error.what());
  } catch (const InterruptedError& error) {
    return refuse(MOESHIFT_INTERRUPTED, error.what());
  } catch (const std::bad_alloc&) {
    return refuse(MOESHIFT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return refuse(MOESHIFT_FAILED, error.what());
  } catch (...) {
    return refuse(MOESHIFT_FAILED, "unknown error");
  }
}

void need(bool holds, const char* where, const char* expectation) {
  if (!holds) throw InputError(where, expectation);
}

/// Asks the caller whether to go on.
class CallerProgress final : public Progress {
 public:
  CallerProgress(int (*ask)(void*), void* user) : ask_(ask), user_(user) {}
  void update(std::string_view, std::uint64_t, std::uint64_t) override {
    if (interrupted()) throw InterruptedError();
  }
  [[nodiscard]] bool interrupted() const override {
    if (ask_ != nullptr && !stopped_.load() && ask_(user_) != 0) stopped_.store(true);
    return stopped_.load();
  }

 private:
  int (*ask_)(void*);
  void* user_;
  mutable std::atomic<bool> stopped_ = false;
};

/// More than any machine has, and few enough that products fit.
void check_counts(std::initializer_list<std::pair<const char*, std::size_t>> counts) {
  constexpr std::size_t kMost = std::size_t{1} << 20U;
  for (const auto& [name, count] : counts) {
    if (count >= 1 && count <= kMost) continue;
    throw InputError(name, fmt::format("expected 1 .. {}, got {}", kMost, count));
  }
}

Placement placement_of(const std::int32_t* map, const char* name, std::size_t layers,
                       std::size_t experts, std::size_t slots, std::size_t ranks) {
  need(map != nullptr, name, "expected a map [layers, slots], got NULL");
  IdMatrix<LayerId, SlotId, ExpertId> ids(layers, slots);
  for (std::size_t i = 0; i < layers * slots; ++i) {
    if (map[i] < -1 || map[i] >= static_cast<std::int64_t>(experts)) {
      throw InputError(name, fmt::format("layer {} slot {} holds {}; expected an expert 0 .. {} or "
                                         "-1 for none",
                                         i / slots, i % slots, map[i], experts - 1));
    }
    ids.items()[i] = map[i] < 0 ? ExpertId::none() : ExpertId(map[i]);
  }
  return {experts, ranks, std::move(ids)};
}

std::vector<LoadMatrix> windows_of(const moeshift_plan_request& request) {
  need(request.load != nullptr, "load", "expected [windows, layers, experts], got NULL");
  std::vector<LoadMatrix> windows;
  const double* from = request.load;
  for (std::size_t w = 0; w < request.windows; ++w) {
    LoadMatrix load(request.layers, request.experts);
    for (std::size_t i = 0; i < load.items().size(); ++i, ++from) {
      if (!(*from >= 0 && *from <= 0x1p53)) {
        throw InputError("load", fmt::format("window {} layer {} expert {} has {}; expected a "
                                             "finite number >= 0 and <= 2^53",
                                             w, i / request.experts, i % request.experts, *from));
      }
      load.items()[i] = *from;
    }
    windows.push_back(std::move(load));
  }
  return windows;
}

double price_of(std::string_view text) {
  double price = -1;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), price);
  const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
  need(whole && price >= 0, "price", "expected a number >= 0");
  return price;
}

PolicyOptions options_of(const moeshift_plan_request& request) {
  PolicyOptions options;
  if (request.price != nullptr) options.price = price_of(request.price);
  if (request.expert_bytes > 0) options.expert_bytes = Bytes(request.expert_bytes);
  if (request.budget_bytes >= 0) {
    need(request.expert_bytes > 0, "expert_bytes", "needed: the budget is of bytes");
    options.budget = Bytes(request.budget_bytes);
  }
  return options;
}

std::optional<Seconds> limit_of(const moeshift_plan_request& request) {
  need(request.time_limit >= 0 && request.time_limit <= 1e6, "time_limit",
       "expected seconds, 0 to 1000000");
  if (request.time_limit == 0) return {};
  return Seconds(request.time_limit);
}

PlanResult plan_for(const moeshift_plan_request& request) {
  check_counts({{"layers", request.layers},
                {"experts", request.experts},
                {"ranks", request.ranks},
                {"slots", request.slots},
                {"windows", request.windows},
                {"groups", request.groups}});
  const std::vector<LoadMatrix> windows = windows_of(request);
  PlanProblem problem{.load = sum_of(windows),
                      .samples = windows,
                      .topology = Topology(request.ranks, request.nodes),
                      .slots = request.slots,
                      .expert_groups = request.groups,
                      .seed = request.seed};
  for (std::size_t i = 0; i < request.inactive_count; ++i) {
    need(request.inactive != nullptr && request.inactive[i] >= 0, "inactive", "expected ranks");
    problem.inactive.emplace_back(request.inactive[i]);
  }
  std::sort(problem.inactive.begin(), problem.inactive.end());
  std::optional<Placement> old;
  if (request.old_map != nullptr) {
    const std::size_t slots = request.old_slots > 0 ? request.old_slots : request.slots;
    check_counts({{"old_slots", slots}});
    old = placement_of(request.old_map, "old_map", request.layers, request.experts, slots,
                       request.old_ranks > 0 ? request.old_ranks : request.ranks);
    problem.old = &*old;
  }
  const auto planner =
      make_planner(request.policy == nullptr ? "deepseek" : request.policy, options_of(request));
  CallerProgress progress(request.interrupted, request.user);
  PlanDeadline deadline(progress, limit_of(request));
  PlanResult result = planner->plan(problem, Threads{request.threads}, deadline);
  if (deadline.stopped()) throw InterruptedError();
  return result;
}

ExpertSizes sizes_of(const moeshift_moves_request& request) {
  if (request.model == nullptr) {
    need(request.expert_bytes > 0, "expert_bytes", "needed where no model is given");
    return ExpertSizes(Bytes(request.expert_bytes));
  }
  const MoeModel model = load_model(request.model);
  if (model.num_layers == request.layers && model.num_experts == request.experts) {
    return model.expert_sizes();
  }
  throw InputError(
      "model", fmt::format("{} has {} layers x {} experts, the maps {} x {}", model.name,
                           model.num_layers, model.num_experts, request.layers, request.experts));
}

moeshift_moves moves_for(const moeshift_moves_request& request) {
  check_counts({{"layers", request.layers},
                {"experts", request.experts},
                {"old_slots", request.old_slots},
                {"old_ranks", request.old_ranks},
                {"new_slots", request.new_slots},
                {"new_ranks", request.new_ranks}});
  need(request.cluster != nullptr, "cluster", "needed: a shipped name or a file");
  const Placement old = placement_of(request.old_map, "old_map", request.layers, request.experts,
                                     request.old_slots, request.old_ranks);
  const Placement next = placement_of(request.new_map, "new_map", request.layers, request.experts,
                                      request.new_slots, request.new_ranks);
  const Cluster cluster = load_cluster(request.cluster);
  std::optional<std::size_t> nodes;
  if (request.nodes > 0) nodes = request.nodes;
  const Topology topology = cluster.topology(std::max(old.ranks(), next.ranks()), nodes);
  moeshift_moves moves;
  moves.plan = make_transfer_plan(old, next, topology, sizes_of(request), options_for(cluster),
                                  Threads{request.threads});
  moves.cost = price(moves.plan, topology, cluster);
  return moves;
}

template <class Request>
void check_request(const Request* request) {
  need(request != nullptr, "request", "expected a request, got NULL");
  need(request->size == sizeof(Request), "size",
       "is not this library's: set it by the request's init function");
}

std::int32_t narrow(std::size_t value) {
  return static_cast<std::int32_t>(value);
}

}  // namespace
}  // namespace moeshift

using moeshift::guarded;
using moeshift::need;

const char* moeshift_version(void) {
  return MOESHIFT_VERSION;
}

int moeshift_abi(void) {
  return MOESHIFT_ABI;
}

const char* moeshift_last_error(void) {
  return moeshift::last_error.c_str();
}

void moeshift_plan_request_init(moeshift_plan_request* request) {
  if (request == nullptr) return;
  *request = moeshift_plan_request{};
  request->size = sizeof *request;
  request->nodes = request->groups = request->windows = 1;
  request->budget_bytes = -1;
}

moeshift_status moeshift_plan_make(const moeshift_plan_request* request, moeshift_plan** plan) {
  return guarded([&] {
    need(plan != nullptr, "plan", "expected a place for the plan, got NULL");
    *plan = nullptr;
    moeshift::check_request(request);
    *plan = new moeshift_plan{moeshift::plan_for(*request)};
  });
}

void moeshift_plan_free(moeshift_plan* plan) {
  delete plan;
}

moeshift_status moeshift_plan_map(const moeshift_plan* plan, int32_t* map, size_t count) {
  return guarded([&] {
    need(plan != nullptr && map != nullptr, "plan", "expected a plan and room for its map");
    const auto slots = plan->result.placement.physical_to_logical().items();
    need(count == slots.size(), "count", "expected layers * slots");
    std::transform(slots.begin(), slots.end(), map, [](moeshift::ExpertId expert) {
      return expert.is_none() ? -1 : static_cast<int32_t>(expert.value());
    });
  });
}

moeshift_status moeshift_plan_layer(const moeshift_plan* plan, size_t layer,
                                    moeshift_layer* verdict) {
  return guarded([&] {
    need(plan != nullptr && verdict != nullptr, "plan", "expected a plan and room for a verdict");
    need(layer < plan->result.layers.size(), "layer", "expected one of the plan's");
    const moeshift::LayerVerdict& found = plan->result.layers[layer];
    *verdict = {found.peak, found.imbalance, found.lower_bound, found.keep ? 1 : 0,
                found.hasty ? 1 : 0};
  });
}

void moeshift_moves_request_init(moeshift_moves_request* request) {
  if (request == nullptr) return;
  *request = moeshift_moves_request{};
  request->size = sizeof *request;
}

moeshift_status moeshift_moves_make(const moeshift_moves_request* request, moeshift_moves** moves) {
  return guarded([&] {
    need(moves != nullptr, "moves", "expected a place for the moves, got NULL");
    *moves = nullptr;
    moeshift::check_request(request);
    *moves = new moeshift_moves(moeshift::moves_for(*request));
  });
}

void moeshift_moves_free(moeshift_moves* moves) {
  delete moves;
}

moeshift_status moeshift_moves_totals(const moeshift_moves* moves, moeshift_move_totals* totals) {
  return guarded([&] {
    need(moves != nullptr && totals != nullptr, "moves", "expected moves and room for totals");
    const moeshift::TransferTotals found = moeshift::totals_of(moves->plan);
    *totals = moeshift_move_totals{};
    totals->transfers = found.transfers;
    totals->local_copies = found.local_copies;
    totals->rounds = found.rounds;
    for (std::size_t link = 0; link < moeshift::kLinkClasses; ++link) {
      totals->transfers_by_link[link] = found.transfers_by_link[link];
      totals->bytes_by_link[link] = found.bytes_by_link[link].count();
    }
    totals->stage_seconds = moves->cost.stage.count();
    totals->commit_seconds = moves->cost.commit.count();
    totals->total_seconds = moves->cost.total.count();
    totals->exposed_seconds = moves->cost.exposed.count();
  });
}

size_t moeshift_moves_count(const moeshift_moves* moves) {
  if (moves == nullptr) return 0;
  std::size_t count = 0;
  for (const moeshift::LayerMoves& layer : moves->plan.layers) {
    for (const moeshift::Wave& wave : layer.waves) count += wave.transfers.size();
  }
  return count;
}

moeshift_status moeshift_moves_transfers(const moeshift_moves* moves, moeshift_transfer* transfers,
                                         size_t count) {
  return guarded([&] {
    need(moves != nullptr, "moves", "expected moves, got NULL");
    need(count == moeshift_moves_count(moves), "count", "expected moeshift_moves_count()");
    need(transfers != nullptr || count == 0, "transfers", "expected room, got NULL");
    for (std::size_t i = 0; i < moves->plan.layers.size(); ++i) {
      for (const moeshift::Wave& wave : moves->plan.layers[i].waves) {
        for (const moeshift::Transfer& t : wave.transfers) {
          *transfers++ = {moeshift::narrow(i),
                          moeshift::narrow(t.expert.index()),
                          moeshift::narrow(t.source.index()),
                          moeshift::narrow(t.destination.index()),
                          static_cast<int32_t>(t.link),
                          static_cast<int32_t>(t.group),
                          moves->plan.size_of(i, t.expert).count()};
        }
      }
    }
  });
}
