// SPDX-License-Identifier: Apache-2.0
// moeshift calibrate: measures a transport and fits the parameters of the cost model to it.
#include <algorithm>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/calibrate/design.hpp"
#include "moeshift/core/error.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/engine/probe.hpp"
#include "moeshift/execute/pattern.hpp"

#include "apps/moeshift/cli/interrupt.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/execute/calibrate_report.hpp"
#include "apps/moeshift/execute/commands.hpp"
#include "apps/moeshift/execute/process_place.hpp"
#include "apps/moeshift/execute/rank_processes.hpp"
#include "apps/moeshift/files/cluster_json.hpp"

namespace moeshift::cli {
namespace {

class Calibrate final : public Command {
 public:
  void declare(Options& options) override {
    options.option("--backend", backend_, "transport; see `moeshift backends`");
    options.option("--ranks", ranks_, "ranks that take part, at least 2");
    options.option("--nodes", nodes_,
                   "nodes that the ranks sit in, also virtual ones; default: as the launcher says");
    options.option("--largest", largest_, "largest message; default 16MiB");
    options.option("--repeat,--repetitions", repetitions_, "times that each exchange is done");
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
    if (repetitions_ < 3) throw InputError("--repeat", "expected at least 3");
    const Bytes largest = largest_.value_or(Bytes(std::int64_t{16} << 20));
    if (largest < Bytes(1 << 16)) throw InputError("--largest", "expected at least 64KiB");
    const Backend& backend = usable_backend();
    const auto place =
        backend.spans_processes || processes_ ? process_place(process_environment()) : std::nullopt;
    design_ =
        design_calibration(topology(place ? place->local_world : ranks_), largest, session.seed());
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
  /// @param together ranks that sit on this machine.
  [[nodiscard]] Topology topology(std::size_t together) const {
    const std::size_t local = std::max<std::size_t>(together, 1);
    return {ranks_, nodes_.value_or((ranks_ + local - 1) / local)};
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
    for (const LinkCalibration& link : design_.links) sets.push_back(&link.samples);
    if (validate_) sets.push_back(&design_.held_out);
    for (const auto* set : sets) {
      for (const ExchangeSample& sample : *set) {
        auto& exchange = job.exchanges.emplace_back();
        for (const ProbeMessage& m : sample.messages) {
          exchange.push_back({m.source, m.destination, m.bytes});
        }
      }
    }
    for (const CopySample& copy : design_.copies) job.copies.push_back(copy.bytes);
    times_ = run_probes(*world, job);
  }

  ExitCode conclude(Session& session) {
    take_times();
    fit_links(design_);
    const CopyCalibration copies = fit_copy(design_.copies);
    const CopyCalibration together = fit_copies_together(design_, times_.copies_together);
    const Cluster cluster = calibrated(session, copies, together);
    const Calibration& fit = design_.links.front().fit;
    std::vector<std::string> misfits;
    std::vector<ExchangeSample> exchanges;
    for (const LinkCalibration& link : design_.links) {
      exchanges.insert(exchanges.end(), link.samples.begin(), link.samples.end());
      for (const std::string& misfit : link.fit.misfits) {
        misfits.push_back(fmt::format("{}: {}", name_of(link.link), misfit));
      }
    }
    Report report("calibrate");
    report.result() = {{"backend", backend_},
                       {"ranks", ranks_},
                       {"nodes", design_.topology.nodes()},
                       {"links", links_json(design_.links)},
                       {"terms", terms_json(fit.terms)},
                       {"local_copy", terms_json(copies.terms)},
                       {"copy_on_all_ranks", terms_json(together.terms)},
                       {"median_relative_error", fit.median_error},
                       {"p95_relative_error", fit.p95_error},
                       {"misfits", misfits}};
    for (const LinkCalibration& link : design_.links) report.note(summary_of(link));
    report.table(terms_table(design_.links, copies, together));
    report.table(residuals_table(design_.links));
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
    for (const LinkCalibration& link : design_.links) count += link.samples.size();
    return count;
  }

  void take_times() {
    std::size_t next = 0;
    for (LinkCalibration& link : design_.links) {
      for (ExchangeSample& sample : link.samples) sample.times = times_.exchanges.at(next++);
    }
    for (std::size_t i = 0; i < design_.copies.size(); ++i) {
      design_.copies[i].times = times_.copies.at(i);
    }
  }

  [[nodiscard]] std::string summary_of(const LinkCalibration& link) const {
    return fmt::format(
        "{}, {} ranks, {} nodes, {}: {} exchanges, median error {:.1f} %, 95th percentile {:.1f} %",
        backend_, ranks_, design_.topology.nodes(), name_of(link.link), link.samples.size(),
        link.fit.median_error * 100, link.fit.p95_error * 100);
  }

  /// Prices the plans with the whole cost model and the machine as it will be written.
  void add_validation(Report& report, const Cluster& cluster) {
    std::vector<Seconds> predicted;
    std::vector<Seconds> measured;
    const std::size_t first = designed();
    for (std::size_t i = 0; i < design_.plans.size(); ++i) {
      design_.held_out[i].times = times_.exchanges.at(first + i);
      measured.push_back(undisturbed(design_.held_out[i].times));
      predicted.push_back(price(design_.plans[i], design_.topology, cluster).stage);
    }
    const Validation validation = validation_of(predicted, measured);
    report.result()["validation"] = validation_json(validation);
    report.result()["validation"]["exchanges"] = exchanges_json(design_.held_out);
    report.note(fmt::format(
        "held out: {} random plans, median error {:.1f} %, 95th percentile {:.1f} %",
        design_.plans.size(), validation.median_error * 100, validation.p95_error * 100));
  }

  [[nodiscard]] Cluster calibrated(Session& session, const CopyCalibration& copies,
                                   const CopyCalibration& together) const {
    Cluster cluster =
        calibrated_cluster(session.load_cluster(base_), design_,
                           {.copies = copies,
                            .together = together,
                            .connection = times_.connect / static_cast<double>(ranks_ - 1),
                            .vote = median(times_.agreements)});
    cluster.name = "calibrated_" + backend_;
    cluster.source = "moeshift calibrate: " + summary_of(design_.links.front());
    for (const LinkCalibration& link : design_.links) {
      const bool inside = link.link == LinkClass::kIntraNode;
      (inside ? cluster.intra_node : cluster.inter_node).source = summary_of(link);
    }
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
  CalibrationDesign design_;
  ProbeTimes times_;
};

}  // namespace

std::unique_ptr<Command> make_calibrate() {
  return std::make_unique<Calibrate>();
}

}  // namespace moeshift::cli
