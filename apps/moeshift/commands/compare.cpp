// SPDX-License-Identifier: Apache-2.0
// moeshift compare: several policies plan on the same steps and are judged on others.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/trace/placement_format.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/commands/commands.hpp"
#include "apps/moeshift/contest.hpp"
#include "apps/moeshift/planning.hpp"
#include "apps/moeshift/session.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

Json bytes_by_link(const Contest& contest, const TransferTotals& totals) {
  if (!contest.expert_bytes) return {};
  Json json = Json::object();
  for (const LinkClass link :
       {LinkClass::kIntraNode, LinkClass::kInterNode, LinkClass::kInterRack}) {
    json[std::string(name_of(link))] = totals.bytes_by_link[static_cast<std::size_t>(link)].count();
  }
  return json;
}

/// Of a total over links, the part that leaves the node.
template <class T>
T beyond_node(const std::array<T, kLinkClasses>& by_link) {
  return by_link[static_cast<std::size_t>(LinkClass::kInterNode)] +
         by_link[static_cast<std::size_t>(LinkClass::kInterRack)];
}

double per_layer(const Contest& contest, std::size_t count) {
  return static_cast<double>(count) / static_cast<double>(contest.train.layers());
}

Json row_json(const Contest& contest, const ContestRow& row) {
  return {{"policy", row.policy},
          {"train", to_json(row.train)},
          {"test", to_json(row.test)},
          {"transfers_per_layer", per_layer(contest, row.totals.transfers)},
          {"inter_node_transfers_per_layer",
           per_layer(contest, beyond_node(row.totals.transfers_by_link))},
          {"bytes_by_link", bytes_by_link(contest, row.totals)},
          {"predicted_seconds", row.predicted ? Json(row.predicted->count()) : Json()},
          {"plan_seconds", row.planning.count()}};
}

Table table_of(const Contest& contest, const std::vector<ContestRow>& rows) {
  Table table{"",
              {"policy", "train", "test", "moves", "inter", "inter bytes", "predicted", "planning"},
              {}};
  for (const ContestRow& row : rows) {
    table.rows.push_back(
        {Cell::text(row.policy), Cell::decimal(row.train.balancedness, 4),
         Cell::decimal(row.test.balancedness, 4),
         Cell::decimal(per_layer(contest, row.totals.transfers), 1),
         Cell::decimal(per_layer(contest, beyond_node(row.totals.transfers_by_link)), 1),
         contest.expert_bytes ? Cell::bytes(beyond_node(row.totals.bytes_by_link)) : Cell::empty(),
         row.predicted ? Cell::seconds(*row.predicted) : Cell::empty(),
         Cell::seconds(row.planning)});
  }
  return table;
}

/// The windows that take part, with the halves of the trace where none were asked for.
struct Windows {
  LoadWindow train;
  LoadWindow test;
  std::optional<LoadWindow> previous;
};

LoadWindow part_of(const LoadWindow& whole, std::size_t first, std::size_t last) {
  LoadWindow part{.header = whole.header, .loads = {}, .steps = {}, .labels = {}};
  for (std::size_t i = first; i < last; ++i) {
    part.loads.push_back(whole.loads[i]);
    part.steps.push_back(whole.steps[i]);
    part.labels.push_back(whole.labels[i]);
  }
  return part;
}

class Compare final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("TRACE", trace_, "recorded loads; '-' is standard input");
    options.list("--policies", policies_, "who takes part; see `moeshift policies`");
    options.require_last();
    shape_.declare(options);
    options.option("--train", train_,
                   "steps to plan on, first:last (last not included); default: the first half");
    options.option("--test", test_, "held-out steps to judge on; default: the second half");
    options.option("--previous", previous_,
                   "steps on which each policy planned the placement that it now moves away from; "
                   "default: all start from the initial map of an engine (policy static)");
    options.option("--from", from_, "or the placement (plan file) that all move away from");
    declare_policy_options(options, policy_options_);
  }

  ExitCode run(Session& session) override {
    prepare(session);
    const std::vector<std::unique_ptr<Planner>> planners = make_planners();
    const Windows windows = read_windows(session);
    const Contest contest = set_up(session, windows);
    std::vector<ContestRow> rows;
    for (std::size_t i = 0; i < planners.size(); ++i) {
      session.progress().update("policies", i, planners.size());
      rows.push_back(
          try_policy(contest, policies_[i], *planners[i], session.threads(), session.progress()));
    }
    judge(contest, session.threads(), rows);
    session.emit(make_report(contest, windows, rows));
    return ExitCode::kGood;
  }

 private:
  /// What a budget in bytes means to the policies.
  void prepare(Session& session) {
    if (shape_.model) {
      policy_options_.expert_bytes = session.load_model(*shape_.model).expert_bytes();
    } else if (policy_options_.budget) {
      throw InputError("--budget-bytes", "needs --model, which says how many bytes an expert has");
    }
  }

  [[nodiscard]] std::vector<std::unique_ptr<Planner>> make_planners() const {
    std::vector<std::unique_ptr<Planner>> planners;
    std::set<std::string> seen;
    for (const std::string& policy : policies_) {
      if (!seen.insert(policy).second) {
        throw InputError("--policies", fmt::format("'{}' is named twice", policy));
      }
      planners.push_back(make_planner(policy, policy_options_));
    }
    return planners;
  }

  Windows read_windows(Session& session) const {
    if (train_.has_value() != test_.has_value()) {
      throw InputError(train_ ? "--test" : "--train", "expected --train and --test together");
    }
    if (previous_ && from_) throw InputError("--from", "expected either --from or --previous");
    std::vector<StepRange> ranges = {parse_step_range(train_.value_or(":"), "--train")};
    if (test_) ranges.push_back(parse_step_range(*test_, "--test"));
    if (previous_) ranges.push_back(parse_step_range(*previous_, "--previous"));
    const std::unique_ptr<std::istream> in = session.open_input(trace_);
    std::vector<LoadWindow> read = load_windows(*in, Session::name_of_input(trace_), ranges);
    Windows windows{.train = std::move(read[0]), .test = {}, .previous = {}};
    if (previous_) windows.previous = std::move(read.back());
    if (test_) {
      windows.test = std::move(read[1]);
    } else {
      split(session, windows);
    }
    return windows;
  }

  /// The first half of the steps to plan on, the second to judge on.
  static void split(Session& session, Windows& windows) {
    const std::size_t steps = windows.train.loads.size();
    if (steps < 2) {
      session.warn("the trace has one step: policies are judged on what they planned on");
      windows.test = windows.train;
      return;
    }
    windows.test = part_of(windows.train, steps / 2, steps);
    windows.train = part_of(windows.train, 0, steps / 2);
  }

  Contest set_up(Session& session, const Windows& windows) const {
    const TraceHeader& header = windows.train.header;
    Contest contest{.train = {.load = sum_of(windows.train.loads),
                              .samples = windows.train.loads,
                              .topology = shape_.topology(session),
                              .slots = shape_.slots,
                              .expert_groups = shape_.expert_groups(session, header),
                              .seed = session.seed()},
                    .test = sum_of(windows.test.loads),
                    .before = {},
                    .from = {},

                    .cluster = {},
                    .expert_bytes = {}};
    if (windows.previous) contest.before = sum_of(windows.previous->loads);
    if (shape_.cluster) contest.cluster = session.load_cluster(*shape_.cluster);
    if (shape_.model) contest.expert_bytes = policy_options_.expert_bytes;
    if (from_) contest.from = read_from(session, header);
    return contest;
  }

  [[nodiscard]] Placement read_from(Session& session, const TraceHeader& header) const {
    const std::unique_ptr<std::istream> in = session.open_input(*from_);
    const std::string name = Session::name_of_input(*from_);
    const PlacementHints hints{.num_experts = header.num_experts, .num_ranks = shape_.ranks};
    Placement placement = read_placement(*in, name, hints).placement;
    if (placement.layers() != header.num_layers) {
      throw InputError(
          name, fmt::format("has {} layers, the trace {}", placement.layers(), header.num_layers));
    }
    return placement;
  }

  [[nodiscard]] std::string previous_text() const {
    if (from_) return *from_;
    return previous_ ? "each policy's own plan on steps " + *previous_ : "the initial map";
  }

  [[nodiscard]] Report make_report(const Contest& contest, const Windows& windows,
                                   const std::vector<ContestRow>& rows) const {
    Report report("compare");
    Json json = Json::array();
    for (const ContestRow& row : rows) json.push_back(row_json(contest, row));
    report.result() = {{"train_steps", windows.train.steps},
                       {"test_steps", windows.test.steps},
                       {"previous", previous_text()},
                       {"ranks", contest.train.topology.ranks()},
                       {"nodes", contest.train.topology.nodes()},
                       {"slots", contest.train.slots},
                       {"rows", std::move(json)}};
    report.note(
        fmt::format("{} layers x {} experts -> {} slots on {} ranks, {} nodes; {} steps to plan "
                    "on, {} to judge",
                    contest.train.layers(), contest.train.experts(), contest.train.slots,
                    contest.train.topology.ranks(), contest.train.topology.nodes(),
                    windows.train.steps.size(), windows.test.steps.size()));
    report.table(table_of(contest, rows));
    const auto best =
        std::max_element(rows.begin(), rows.end(), [](const ContestRow& a, const ContestRow& b) {
          return a.test.balancedness < b.test.balancedness;
        });
    report.note(
        fmt::format("best on held-out steps: {}. train, test: balancedness there; moves, "
                    "inter: transfers per layer, all and between nodes, from {}; predicted: "
                    "time of the whole rearrangement",
                    best->policy, previous_text()));
    return report;
  }

  std::string trace_;
  std::vector<std::string> policies_;
  PlanShape shape_;
  std::optional<std::string> train_;
  std::optional<std::string> test_;
  std::optional<std::string> previous_;
  std::optional<std::string> from_;
  PolicyOptions policy_options_;
};

}  // namespace

std::unique_ptr<Command> make_compare() {
  return std::make_unique<Compare>();
}

}  // namespace moeshift::cli
