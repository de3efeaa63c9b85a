// SPDX-License-Identifier: Apache-2.0
// moeshift calibrate: measures a transport and fits the parameters of the cost model to it.
#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/calibrate/design.hpp"
#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/cost/engine_fit.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/engine/probe.hpp"
#include "moeshift/execute/pattern.hpp"

#include "apps/moeshift/cli/interrupt.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/execute/calibrate_cases.hpp"
#include "apps/moeshift/execute/calibrate_rearrangements.hpp"
#include "apps/moeshift/execute/calibrate_report.hpp"
#include "apps/moeshift/execute/calibration_progress.hpp"
#include "apps/moeshift/execute/commands.hpp"
#include "apps/moeshift/execute/process_place.hpp"
#include "apps/moeshift/execute/rank_processes.hpp"
#include "apps/moeshift/files/cluster_json.hpp"

namespace moeshift::cli {
namespace {

/// What a rank has in live slots in one rearrangement. Every case keeps its memory until the end.
constexpr Bytes kHostRoom{std::int64_t{24} << 20};
constexpr Bytes kDeviceRoom{std::int64_t{3} << 30};
constexpr Bytes kLittle{std::int64_t{256} << 20};  ///< for a link of a GPU
constexpr Seconds kStep{5e-3};                     ///< of the load beside which some are done

class Calibrate final : public Command {
 public:
  void declare(Options& options) override {
    options.option("--backend", backend_, "transport; see `moeshift backends`");
    options.option("--ranks", ranks_, "ranks that take part, at least 2");
    options.option("--nodes", nodes_,
                   "nodes that the ranks sit in, also virtual ones; default: as the launcher says");
    options.option("--model", model_, "its experts are the largest that are moved");
    options.option("--largest", largest_, "largest expert and message; default 16MiB");
    options.option("--memory", room_,
                   "for a rank's live experts in one rearrangement; default 24MiB, on GPUs 3GiB");
    options.option("--repeat,--repetitions", repetitions_, "times that each exchange is done");
    options.option("--cluster", base_, "machine whose other figures are kept; default: host");
    options.option("--cluster-file", cluster_file_, "where to write the calibrated machine");
    options.flag("--rank-processes", processes_, "ranks are processes");
    options.flag("--rank-threads", threads_, "ranks are threads of one process");
    options.flag("--mps", mps_, "nccl: start a private MPS daemon for ranks that share a GPU");
    options.option("--max-ctas", max_ctas_, "nccl, peer: thread blocks that move experts");
    options.flag("--validate", validate_,
                 "also predict rearrangements that the fit has not seen: plans x sizes x modes");
  }

  ExitCode run(Session& session) override {
    outlive_closed_pipes();
    take_time_to_end();
    if (ranks_ < 2) throw InputError("--ranks", "expected at least 2");
    if (repetitions_ < 3) throw InputError("--repeat", "expected at least 3");
    const Bytes largest = largest_expert(session);
    if (largest < Bytes(1 << 16)) throw InputError("--largest", "expected at least 64KiB");
    const Backend& backend = usable_backend();
    const auto place =
        backend.spans_processes || processes_ ? process_place(process_environment()) : std::nullopt;
    design_ = design_calibration(topology(place ? place->local_world : ranks_), largest);
    const WorldRequest world{
        .ranks = ranks_, .place = place, .settings = settings(), .interrupted = [&session] {
          return session.progress().interrupted();
        }};
    if (backend.launch(world) == Launch::kSpawn) {
      return run_rank_processes(session, backend, world);
    }
    make_cases(session, backend, largest);
    measure(session, backend, world);
    if (place && place->rank != RankId(0)) return ExitCode::kGood;
    return conclude(session, backend);
  }

 private:
  [[nodiscard]] Bytes largest_expert(Session& session) const {
    if (largest_) return *largest_;
    if (model_.empty()) return Bytes(std::int64_t{16} << 20);
    const MoeModel model = session.load_model(model_);
    return expert_layouts(model, 0, model.num_layers, 1.0).sizes().largest();
  }

  void make_cases(Session& session, const Backend& backend, Bytes largest) {
    const bool host = backend.name == "host" || backend.name == "mpi";
    shape_ = {.topology = design_.topology,
              .largest = largest,
              .room = room_.value_or(host ? kHostRoom : kDeviceRoom),
              .join = backend.join,
              .sets_of_small_batches = backend.sets_of_small_batches,
              .little = host ? Bytes() : kLittle,
              .step = kStep,
              .seed = session.seed()};
    training_ = training_cases(shape_, session.threads());
    if (validate_) unseen_ = held_out_cases(shape_, session.threads());
  }

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
    if (threads_) settings["threads"] = "1";
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
    for (const auto* set : sets) {
      for (const ExchangeSample& sample : *set) {
        auto& exchange = job.exchanges.emplace_back();
        for (const ProbeMessage& m : sample.messages) {
          exchange.push_back({m.source, m.destination, m.bytes});
        }
      }
    }
    for (const CopySample& copy : design_.copies) job.copies.push_back(copy.bytes);
    const std::size_t rounds = std::clamp<std::size_t>(repetitions_ / 2, 3, 7);
    order_rehearsals();
    for (const CalibrationCase* ring : rehearsed_) {
      job.rehearsals.push_back(
          rehearsal_of(*ring, shape_, rounds * repeated(*ring, shape_), session.seed()));
      job.rehearsals.back().options.interrupted = job.interrupted;
    }
    const CalibrationProgress progress(session.progress(), job);
    session.expect({{"measuring", 1}});
    try {
      times_ = run_probes(*world, job);
    } catch (const DeviceError&) {
      // A rank that ends because the user asked to is no failure of a device.
      if (session.progress().interrupted()) throw InterruptedError();
      throw;
    }
  }

  /// Those to fit and those to judge by in turn: a machine that gets warm, or busy, is so for both.
  void order_rehearsals() {
    rehearsed_.clear();
    const std::size_t seen = training_.size();
    const std::size_t unseen = unseen_.size();
    for (std::size_t s = 0, u = 0; s + u < seen + unseen;) {
      const bool behind = s < seen && s * unseen <= u * seen;
      rehearsed_.push_back(behind || u == unseen ? &training_[s++] : &unseen_[u++]);
    }
  }

  [[nodiscard]] std::vector<EngineSample> samples_of(
      const std::deque<CalibrationCase>& cases) const {
    std::vector<EngineSample> samples;
    for (const CalibrationCase& ring : cases) {
      const auto place = std::ranges::find(rehearsed_, &ring) - rehearsed_.begin();
      const RehearsedTimes& times = times_.rehearsed.at(static_cast<std::size_t>(place));
      if (!times.verified) throw DeviceError("a rehearsed rearrangement left wrong bytes");
      const Seconds step = times.steps.empty() ? Seconds() : median(times.steps);
      const std::size_t plans = ring.plans.size();
      for (std::size_t i = 0; i < plans; ++i) {
        std::vector<Seconds> totals;  // without the first round
        for (std::size_t k = plans + i; k < times.totals.size(); k += plans) {
          totals.push_back(times.totals[k]);
        }
        samples.push_back({&ring.plans[i], cost_options_of(ring, step), median(totals)});
      }
    }
    return samples;
  }

  ExitCode conclude(Session& session, const Backend& backend) {
    take_times();
    fit_links(design_);
    const CopyCalibration copies = fit_copy(design_.copies);
    const CopyCalibration together = fit_copies_together(design_, times_.copies_together);
    Cluster probed = calibrated(session, copies, together);
    probed.engine = EngineCosts{.transport = backend_,
                                .ranks = ranks_,
                                .pack_below = backend.pack_below,
                                .gather_first = backend.gather_first,
                                .overlap = backend.pack_below.count() > 0 ? 0.8 : 0.9,
                                .launch_ahead = 0.5,
                                .copy_power = 0.8,
                                .once = median(times_.agreements) * 2};
    const std::vector<EngineSample> samples = samples_of(training_);
    const EngineFit engine = fit_engine(probed, design_.topology, samples);
    Cluster cluster = engine.cluster;
    const Calibration& fit = design_.links.front().fit;
    std::vector<std::string> misfits;
    std::vector<ExchangeSample> exchanges;
    for (const LinkCalibration& link : design_.links) {
      exchanges.insert(exchanges.end(), link.samples.begin(), link.samples.end());
      for (const std::string& misfit : link.fit.misfits) {
        misfits.push_back(fmt::format("{}: {}", name_of(link.link), misfit));
      }
    }
    Report report("calibrate", "What this machine can do");
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
    report.add(fit_chart(design_.links));
    report.add(errors_chart(design_.links));
    add_engine(report, engine, judged(training_, samples, cluster));
    if (validate_) {
      const Validation held_out =
          add_validation(report, judged(unseen_, samples_of(unseen_), cluster));
      cluster.engine->rearrangements = held_out.relative_errors.size();
      cluster.engine->median_error = held_out.median_error;
      cluster.engine->p95_error = held_out.p95_error;
    }
    for (const std::string& misfit : misfits) {
      report.add(Conclusion{"misfit: " + misfit, Tone::kBad, {}});
    }
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

  [[nodiscard]] JudgedCases judged(const std::deque<CalibrationCase>& cases,
                                   const std::vector<EngineSample>& samples,
                                   const Cluster& cluster) const {
    JudgedCases judged{.cases = cases, .predicted = {}, .measured = {}};
    for (const EngineSample& sample : samples) {
      judged.predicted.push_back(predicted_total(sample, design_.topology, cluster));
      judged.measured.push_back(sample.total);
    }
    return judged;
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
  std::string model_;
  std::optional<Bytes> room_;
  CaseShape shape_{.topology = {1, 1},
                   .largest = {},
                   .room = {},
                   .join = {},
                   .sets_of_small_batches = 2,
                   .step = {}};
  std::deque<CalibrationCase> training_;
  std::deque<CalibrationCase> unseen_;
  std::vector<const CalibrationCase*> rehearsed_;  ///< in this order
  bool validate_ = false;
  bool threads_ = false;
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
