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
#include "moeshift/execute/probe.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/calibration_report.hpp"
#include "apps/moeshift/cluster_json.hpp"
#include "apps/moeshift/commands/commands.hpp"
#include "apps/moeshift/process_place.hpp"
#include "apps/moeshift/rank_processes.hpp"
#include "apps/moeshift/session.hpp"

namespace moeshift::cli {
namespace {

constexpr std::size_t kHeldOut = 50;
constexpr double kSmallest = 16384;  // bytes of an expert of a random plan
constexpr Bytes kLargeCopy{std::int64_t{1} << 20};
constexpr double kTogether = 0.8;  // copies on all ranks at once this much slower share something

/// Random rearrangements, some small and some of everything, of experts of any size. Only what goes
/// from rank to rank counts: copies are measured on their own.
std::vector<TransferPlan> random_plans(std::size_t ranks, Bytes largest, std::uint64_t seed) {
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
    const Bytes expert(static_cast<std::int64_t>(kSmallest * std::exp(span * rng.uniform())));
    TransferPlan plan =
        make_transfer_plan(Placement(slots, ranks, std::move(before)),
                           Placement(slots, ranks, std::move(after)), Topology(ranks, 1), expert);
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
    if (ranks_ < 2) throw InputError("--ranks", "expected at least 2");
    if (repetitions_ < 3) throw InputError("--repetitions", "expected at least 3");
    const Bytes largest = largest_.value_or(Bytes(std::int64_t{16} << 20));
    if (largest < Bytes(1 << 16)) throw InputError("--largest", "expected at least 64KiB");
    samples_ = designed_exchanges(ranks_, largest);
    plans_ = random_plans(ranks_, largest, session.seed());
    for (const TransferPlan& plan : plans_) held_out_.push_back(exchange_of(plan));
    for (Bytes bytes(1 << 12); bytes <= largest; bytes = bytes * 4) copies_.push_back({bytes, {}});
    const Backend& backend = usable_backend();
    const auto place =
        backend.spans_processes || processes_ ? process_place(process_environment()) : std::nullopt;
    const WorldOptions world{.ranks = ranks_, .place = place, .settings = settings()};
    if (backend.launch(world) == Launch::kSpawn) {
      return run_rank_processes(session, backend, world);
    }
    measure(session, backend, world);
    if (place && place->rank != RankId(0)) return ExitCode::kGood;
    return conclude(session);
  }

 private:
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

  void measure(Session& session, const Backend& backend, const WorldOptions& options) {
    const auto world = backend.open(options);
    ProbeJob job;
    job.repetitions = repetitions_;
    job.interrupted = [&session] { return session.progress().interrupted(); };
    for (const auto* set : {&samples_, &held_out_}) {
      if (set == &held_out_ && !validate_) continue;
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
    for (std::size_t i = 0; i < samples_.size(); ++i) samples_[i].times = times_.exchanges.at(i);
    for (std::size_t i = 0; i < copies_.size(); ++i) copies_[i].times = times_.copies.at(i);
    const Calibration fit = fit_link(samples_, ranks_);
    const CopyCalibration copies = fit_copy(copies_);
    const CopyCalibration together = fit_copies_together();
    const Cluster cluster = calibrated(session, fit, copies, together);
    Report report("calibrate");
    report.result() = {{"backend", backend_},
                       {"ranks", ranks_},
                       {"terms", terms_json(fit.terms)},
                       {"local_copy", terms_json(copies.terms)},
                       {"copy_on_all_ranks", terms_json(together.terms)},
                       {"median_relative_error", fit.median_error},
                       {"p95_relative_error", fit.p95_error},
                       {"misfits", fit.misfits}};
    report.note(fmt::format(
        "{}, {} ranks: {} exchanges, median error {:.1f} %, 95th percentile {:.1f} %", backend_,
        ranks_, samples_.size(), fit.median_error * 100, fit.p95_error * 100));
    report.table(terms_table(fit, copies, together));
    report.table(residuals_table(samples_, fit));
    if (validate_) add_validation(report, cluster);
    for (const std::string& misfit : fit.misfits) report.note("misfit: " + misfit);
    if (fit.misfits.empty()) report.result()["cluster"] = cluster_json(cluster);
    report.result()["exchanges"] = exchanges_json(samples_);
    session.emit(report);
    if (!fit.misfits.empty()) return ExitCode::kNegative;
    if (cluster_file_) {
      session.write_file(*cluster_file_,
                         [&](std::ostream& out) { out << cluster_json(cluster).dump(2) << '\n'; });
    }
    return ExitCode::kGood;
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
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      held_out_[i].times = times_.exchanges.at(samples_.size() + i);
      measured.push_back(undisturbed(held_out_[i].times));
      predicted.push_back(price(plans_[i], Topology(ranks_, 1), cluster).stage);
    }
    const Validation validation = judge(predicted, measured);
    report.result()["validation"] = validation_json(validation);
    report.result()["validation"]["exchanges"] = exchanges_json(held_out_);
    report.note(
        fmt::format("held out: {} random plans, median error {:.1f} %, 95th percentile {:.1f} %",
                    plans_.size(), validation.median_error * 100, validation.p95_error * 100));
  }

  [[nodiscard]] Cluster calibrated(Session& session, const Calibration& fit,
                                   const CopyCalibration& copies,
                                   const CopyCalibration& together) const {
    Cluster cluster = session.load_cluster(base_);
    const std::string source = fmt::format(
        "moeshift calibrate --backend {} --ranks {}: {} exchanges, median error {:.1f} %", backend_,
        ranks_, samples_.size(), fit.median_error * 100);
    cluster.name = "calibrated_" + backend_;
    cluster.source = source;
    cluster.ranks_per_node = std::max(cluster.ranks_per_node, ranks_);
    cluster.local_copy = copies.rate;
    cluster.local_copy_latency = copies.latency;
    cluster.intra_node = fit.link;
    cluster.intra_node.source = source;
    cluster.node_fabric = fit.fabric;
    cluster.node_fabric_per_message = fit.fabric_per_message;
    cluster.node_copy.reset();
    if (together.rate < copies.rate * kTogether) {
      cluster.node_copy = together.rate * static_cast<double>(ranks_);
    }
    cluster.fixed.launch = fit.launch;
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
  std::vector<ExchangeSample> samples_;
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
