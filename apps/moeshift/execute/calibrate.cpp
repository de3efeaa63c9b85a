// SPDX-License-Identifier: Apache-2.0
// moeshift calibrate: measures a transport and fits the parameters of the cost model to it.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/cost/calibration.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/engine/probe.hpp"
#include "moeshift/execute/pattern.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/cli/interrupt.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/execute/calibrate_report.hpp"
#include "apps/moeshift/execute/commands.hpp"
#include "apps/moeshift/execute/process_place.hpp"
#include "apps/moeshift/execute/rank_processes.hpp"
#include "apps/moeshift/files/cluster_json.hpp"

namespace moeshift::cli {
namespace {

constexpr std::size_t kHeldOut = 50;
constexpr double kSmallest = 16384;  // bytes of an expert of a random plan
constexpr Bytes kLargeCopy{std::int64_t{1} << 20};
constexpr double kTogether = 0.8;  // copies on all ranks at once this much slower share something

/// Rounded down to what slots are multiples of: devices copy odd sizes another way, and no expert
/// has one.
Bytes slot_of(double bytes) {
  return Bytes(static_cast<std::int64_t>(bytes) / kTensorAlignment * kTensorAlignment);
}

/// Random rearrangements, some small and some of everything, of experts of any size. Only what goes
/// from rank to rank counts: copies are measured on their own.
std::vector<TransferPlan> random_plans(const Topology& topology, Bytes largest,
                                       std::uint64_t seed) {
  const std::size_t ranks = topology.ranks();
  Rng rng(seed);
  std::vector<TransferPlan> plans;
  while (plans.size() < kHeldOut) {
    const std::size_t slots = ranks * (2 + rng.below(6));
    IdMatrix<LayerId, SlotId, ExpertId> before(1, slots);
    for (const SlotId slot : before.column_ids()) before(LayerId(0), slot) = ExpertId(slot.index());
    auto after = before;
    const std::uint32_t swaps = 1 + rng.below(static_cast<std::uint32_t>(slots));
    for (std::uint32_t i = 0; i < swaps; ++i) {
      const SlotId a(rng.below(static_cast<std::uint32_t>(slots)));
      const SlotId b(rng.below(static_cast<std::uint32_t>(slots)));
      std::swap(after(LayerId(0), a), after(LayerId(0), b));
    }
    const double span = std::log(static_cast<double>(largest.count()) / kSmallest);
    const Bytes expert = slot_of(kSmallest * std::exp(span * rng.uniform()));
    TransferPlan plan =
        make_transfer_plan(Placement(slots, ranks, std::move(before)),
                           Placement(slots, ranks, std::move(after)), topology, expert);
    if (totals_of(plan).transfers == 0) continue;
    Wave& wave = plan.layers[0].waves[0];
    wave.stage_copies.clear();
    wave.commit_copies.clear();
    plans.push_back(std::move(plan));
  }
  return plans;
}

/// The messages of the plan's only group, packed per pair.
ExchangeSample exchange_of(const TransferPlan& plan) {
  std::map<std::pair<RankId, RankId>, std::int64_t> experts;
  for (const Transfer& t : plan.layers[0].waves[0].transfers) ++experts[{t.source, t.destination}];
  ExchangeSample sample;
  sample.pattern = "random plan";
  for (const auto& [pair, count] : experts) {
    sample.messages.push_back({pair.first, pair.second, plan.sizes.largest() * count});
  }
  return sample;
}

class Calibrate final : public Command {
 public:
  void declare(Options& options) override {
    options.option("--backend", backend_, "transport; see `moeshift backends`");
    options.option("--ranks", ranks_, "ranks that take part, at least 2");
    options.option("--nodes", nodes_,
                   "nodes that the ranks sit in, also virtual ones; default: as the launcher says");
    options.option("--largest", largest_, "largest message; default 16MiB");
    options.option("--repetitions", repetitions_, "times that each exchange is run");
    options.option("--cluster", base_, "machine whose other figures are kept; default: host");
    options.option("--cluster-file", cluster_file_, "where to write the calibrated machine");
    options.flag("--rank-processes", processes_, "ranks are processes");
    options.flag("--mps", mps_, "nccl: start a private MPS daemon for ranks that share a GPU");
    options.option("--max-ctas", max_ctas_, "nccl: thread blocks it may use");
    options.flag("--validate", validate_, "also predict 50 random plans that the fit has not seen");
  }

  ExitCode run(Session& session) override {
    outlive_closed_pipes();
    if (ranks_ < 2) throw InputError("--ranks", "expected at least 2");
    if (repetitions_ < 3) throw InputError("--repetitions", "expected at least 3");
    const Bytes largest = largest_.value_or(Bytes(std::int64_t{16} << 20));
    if (largest < Bytes(1 << 16)) throw InputError("--largest", "expected at least 64KiB");
    for (Bytes bytes(1 << 12); bytes <= largest; bytes = bytes * 4) copies_.push_back({bytes, {}});
    const Backend& backend = usable_backend();
    const auto place =
        backend.spans_processes || processes_ ? process_place(process_environment()) : std::nullopt;
    design(place ? place->local_world : ranks_, largest, session.seed());
    const WorldRequest world{
        .ranks = ranks_, .place = place, .settings = settings(), .interrupted = [&session] {
          return session.progress().interrupted();
        }};
    if (backend.launch(world) == Launch::kSpawn) {
      return run_rank_processes(session, backend, world);
    }
    measure(session, backend, world);
    if (place && place->rank != RankId(0)) return ExitCode::kGood;
    return conclude(session);
  }

 private:
  /// What to measure: the links of one node, and those between nodes where there are several.
  /// @param together ranks that sit on this machine.
  void design(std::size_t together, Bytes largest, std::uint64_t seed) {
    const std::size_t local = std::max<std::size_t>(together, 1);
    topology_ = Topology(ranks_, nodes_.value_or((ranks_ + local - 1) / local));
    const std::size_t inside = topology_.ranks_of(NodeId(0)).size();
    if (inside > 1) {
      links_.push_back({LinkClass::kIntraNode, designed_exchanges(inside, largest), {}});
    }
    if (topology_.nodes() > 1) {
      links_.push_back({LinkClass::kInterNode, designed_crossings(topology_, largest), {}});
    }
    plans_ = random_plans(topology_, largest, seed);
    for (const TransferPlan& plan : plans_) held_out_.push_back(exchange_of(plan));
  }

  [[nodiscard]] const Backend& usable_backend() const {
    const Backend& backend = find_backend(backend_);
    const std::string reason = backend.unavailable_reason();
    if (reason.empty()) return backend;
    throw DeviceError(fmt::format("backend {} cannot be used here: {}", backend.name, reason));
  }

  [[nodiscard]] std::map<std::string, std::string> settings() const {
    std::map<std::string, std::string> settings;
    if (mps_) settings["mps"] = "1";
    if (processes_) settings["processes"] = "1";
    if (max_ctas_) settings["max-ctas"] = std::to_string(*max_ctas_);
    return settings;
  }

  void measure(Session& session, const Backend& backend, const WorldRequest& options) {
    const auto world = backend.open(options);
    ProbeJob job;
    job.repetitions = repetitions_;
    job.interrupted = [&session] { return session.progress().interrupted(); };
    std::vector<const std::vector<ExchangeSample>*> sets;
    for (const LinkFitReport& link : links_) sets.push_back(&link.samples);
    if (validate_) sets.push_back(&held_out_);
    for (const auto* set : sets) {
      for (const ExchangeSample& sample : *set) {
        auto& exchange = job.exchanges.emplace_back();
        for (const ProbeMessage& m : sample.messages) {
          exchange.push_back({m.source, m.destination, m.bytes});
        }
      }
    }
    for (const CopySample& copy : copies_) job.copies.push_back(copy.bytes);
    times_ = run_probes(*world, job);
  }

  ExitCode conclude(Session& session) {
    fit_links();
    for (std::size_t i = 0; i < copies_.size(); ++i) copies_[i].times = times_.copies.at(i);
    const CopyCalibration copies = fit_copy(copies_);
    const CopyCalibration together = fit_copies_together();
    const Cluster cluster = calibrated(session, copies, together);
    const Calibration& fit = links_.front().fit;
    std::vector<std::string> misfits;
    std::vector<ExchangeSample> exchanges;
    for (const LinkFitReport& link : links_) {
      exchanges.insert(exchanges.end(), link.samples.begin(), link.samples.end());
      for (const std::string& misfit : link.fit.misfits) {
        misfits.push_back(fmt::format("{}: {}", name_of(link.link), misfit));
      }
    }
    Report report("calibrate");
    report.result() = {{"backend", backend_},
                       {"ranks", ranks_},
                       {"nodes", topology_.nodes()},
                       {"links", links_json(links_)},
                       {"terms", terms_json(fit.terms)},
                       {"local_copy", terms_json(copies.terms)},
                       {"copy_on_all_ranks", terms_json(together.terms)},
                       {"median_relative_error", fit.median_error},
                       {"p95_relative_error", fit.p95_error},
                       {"misfits", misfits}};
    for (const LinkFitReport& link : links_) report.note(summary_of(link));
    report.table(terms_table(links_, copies, together));
    report.table(residuals_table(links_));
    if (validate_) add_validation(report, cluster);
    for (const std::string& misfit : misfits) report.note("misfit: " + misfit);
    if (misfits.empty()) report.result()["cluster"] = cluster_json(cluster);
    report.result()["exchanges"] = exchanges_json(exchanges);
    session.emit(report);
    if (!misfits.empty()) return ExitCode::kNegative;
    if (cluster_file_) {
      session.write_file(*cluster_file_,
                         [&](std::ostream& out) { out << cluster_json(cluster).dump(2) << '\n'; });
    }
    return ExitCode::kGood;
  }

  [[nodiscard]] std::size_t designed() const {
    std::size_t count = 0;
    for (const LinkFitReport& link : links_) count += link.samples.size();
    return count;
  }

  void fit_links() {
    std::size_t next = 0;
    for (LinkFitReport& link : links_) {
      for (ExchangeSample& sample : link.samples) sample.times = times_.exchanges.at(next++);
      link.fit = link.link == LinkClass::kIntraNode
                     ? fit_link(link.samples, topology_.ranks_of(NodeId(0)).size())
                     : fit_crossings(link.samples, topology_);
    }
  }

  [[nodiscard]] std::string summary_of(const LinkFitReport& link) const {
    return fmt::format(
        "{}, {} ranks, {} nodes, {}: {} exchanges, median error {:.1f} %, 95th percentile {:.1f} %",
        backend_, ranks_, topology_.nodes(), name_of(link.link), link.samples.size(),
        link.fit.median_error * 100, link.fit.p95_error * 100);
  }

  /// Of the sizes that take longer than agreeing on the start.
  [[nodiscard]] CopyCalibration fit_copies_together() const {
    std::vector<CopySample> samples;
    for (std::size_t i = 0; i < copies_.size(); ++i) {
      if (copies_[i].bytes < kLargeCopy && i + 1 < copies_.size()) continue;
      samples.push_back({copies_[i].bytes, times_.copies_together.at(i)});
    }
    return fit_copy(samples);
  }

  /// Prices the plans with the whole cost model and the machine as it will be written.
  void add_validation(Report& report, const Cluster& cluster) {
    std::vector<Seconds> predicted;
    std::vector<Seconds> measured;
    const std::size_t first = designed();
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      held_out_[i].times = times_.exchanges.at(first + i);
      measured.push_back(undisturbed(held_out_[i].times));
      predicted.push_back(price(plans_[i], topology_, cluster).stage);
    }
    const Validation validation = judge(predicted, measured);
    report.result()["validation"] = validation_json(validation);
    report.result()["validation"]["exchanges"] = exchanges_json(held_out_);
    report.note(
        fmt::format("held out: {} random plans, median error {:.1f} %, 95th percentile {:.1f} %",
                    plans_.size(), validation.median_error * 100, validation.p95_error * 100));
  }

  /// What one class of link alone cannot tell apart, two can: both begin with the launch, and what
  /// a message between nodes takes beyond it is its latency.
  void set_links(Cluster& cluster) const {
    const LinkFitReport& near = links_.front();
    cluster.fixed.launch = near.fit.launch;
    cluster.node_fabric.reset();
    cluster.node_fabric_per_message = Seconds();
    for (const LinkFitReport& link : links_) {
      const bool inside = link.link == LinkClass::kIntraNode;
      LinkParameters& target = inside ? cluster.intra_node : cluster.inter_node;
      target = link.fit.link;
      target.latency = std::max(link.fit.launch - near.fit.launch, Seconds());
      if (link.fit.wires) target.node_egress = target.node_ingress = link.fit.wires;
      target.source = summary_of(link);
      // One fabric carries what stays in the node and what leaves it: the slower figure is safe.
      if (!link.fit.fabric) continue;
      if (cluster.node_fabric && *cluster.node_fabric < *link.fit.fabric) continue;
      cluster.node_fabric = link.fit.fabric;
      cluster.node_fabric_per_message = link.fit.fabric_per_message;
    }
  }

  [[nodiscard]] Cluster calibrated(Session& session, const CopyCalibration& copies,
                                   const CopyCalibration& together) const {
    Cluster cluster = session.load_cluster(base_);
    const std::size_t inside = topology_.ranks_of(NodeId(0)).size();
    set_links(cluster);
    cluster.name = "calibrated_" + backend_;
    cluster.source = "moeshift calibrate: " + summary_of(links_.front());
    cluster.ranks_per_node =
        topology_.nodes() > 1 ? inside : std::max(cluster.ranks_per_node, ranks_);
    cluster.local_copy = copies.rate;
    cluster.local_copy_latency = copies.latency;
    cluster.node_copy.reset();
    if (together.rate < copies.rate * kTogether) {
      cluster.node_copy = together.rate * static_cast<double>(inside);
    }
    cluster.fixed.connection = times_.connect / static_cast<double>(ranks_ - 1);
    cluster.fixed.vote = median(times_.agreements);
    return cluster;
  }

  std::string backend_ = "host";
  std::size_t ranks_ = 4;
  std::size_t repetitions_ = 9;
  std::optional<Bytes> largest_;
  std::string base_ = "host";
  std::optional<std::string> cluster_file_;
  bool validate_ = false;
  bool processes_ = false;
  bool mps_ = false;
  std::optional<std::size_t> max_ctas_;
  std::optional<std::size_t> nodes_;
  Topology topology_{1, 1};
  std::vector<LinkFitReport> links_;      ///< from near to far
  std::vector<TransferPlan> plans_;       ///< held out
  std::vector<ExchangeSample> held_out_;  ///< their exchanges
  std::vector<CopySample> copies_;
  ProbeTimes times_;
};

}  // namespace

std::unique_ptr<Command> make_calibrate() {
  return std::make_unique<Calibrate>();
}

}  // namespace moeshift::cli
