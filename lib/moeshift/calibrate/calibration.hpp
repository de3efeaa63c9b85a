// SPDX-License-Identifier: Apache-2.0
// From measured exchanges to the parameters of the cost model, and whether the model holds here.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift {

/// One message of a designed exchange.
struct ProbeMessage {
  RankId source;
  RankId destination;
  Bytes bytes;
};

/// One exchange of messages that start together, run several times.
struct ExchangeSample {
  std::string pattern;  ///< "pair", "fan-out 2", "ring 1": for the report
  std::vector<ProbeMessage> messages;
  std::vector<Seconds> times;  ///< one per repetition, at least one
};

/// One term of the model after the fit.
struct FittedTerm {
  /// "launch", "per_message", "pair", "egress", "ingress"; "fabric" and
  /// "fabric_per_message", or between nodes "wires"
  std::string name;
  double value = 0;  ///< seconds, or bytes per second
  double low = 0;    ///< of the 95 % confidence interval
  double high = 0;
  std::size_t rows = 0;  ///< exchanges that this resource limits
  bool reached = true;   ///< false: nothing was limited by it, `value` is the most that was seen
};

/// What the fit found.
struct Calibration {
  Seconds launch;  ///< launch and latency of one exchange, which one link class cannot tell apart
  LinkParameters link;
  std::optional<BytesPerSecond> fabric;  ///< shared by all ranks, where it limits anything
  Seconds fabric_per_message;            ///< what each message of any rank costs the fabric
  /// Between nodes: what all ranks of a node send, or receive, together, where it limits anything.
  std::optional<BytesPerSecond> wires;
  std::vector<FittedTerm> terms;
  std::vector<double> relative_errors;  ///< predicted / undisturbed() - 1, as the samples
  double median_error = 0;              ///< of their absolute values
  double p95_error = 0;
  /// Why not to believe it, each a sentence; empty when the model holds.
  std::vector<std::string> misfits;
};

/// A set of exchanges that tells the resources of `ranks` ranks apart: sizes x fan-out x fan-in x
/// concurrency (a pair, disjoint pairs, rings of growing degree, all to all), without times.
[[nodiscard]] std::vector<ExchangeSample> designed_exchanges(std::size_t ranks, Bytes largest);

/// The same for messages between nodes: a pair, fan-out, fan-in, ranks of one node to those of
/// another, both ways, rings of nodes, all to all.
/// @param topology of at least two nodes.
[[nodiscard]] std::vector<ExchangeSample> designed_crossings(const Topology& topology,
                                                             Bytes largest);

/// Fits launch, per-message cost and the rates of pair, egress, ingress and fabric.
///
/// T = launch + max over resources (messages * per_message + bytes / rate), as GroupPricer. Which
/// resource limits an exchange depends on the rates: assign, fit (fit_non_negative on undisturbed()
/// times), assign again, until nothing changes (at most 20 times).
/// @param samples of at least two ranks.
/// @throws InputError for samples without times or messages.
[[nodiscard]] Calibration fit_link(const std::vector<ExchangeSample>& samples, std::size_t ranks);

/// The same for exchanges between nodes: what ranks of a node share are its wires, each direction
/// on its own, or its fabric, whichever explains more.
[[nodiscard]] Calibration fit_crossings(const std::vector<ExchangeSample>& samples,
                                        const Topology& topology);

/// Copies on one rank: T = latency + bytes / rate. `terms` are "latency" and "rate".
struct CopySample {
  Bytes bytes;
  std::vector<Seconds> times;
};
struct CopyCalibration {
  Seconds latency;
  BytesPerSecond rate;
  std::vector<FittedTerm> terms;
};
[[nodiscard]] CopyCalibration fit_copy(const std::vector<CopySample>& samples);

/// The time that the fit gives an exchange.
[[nodiscard]] Seconds predict(const Calibration& fit, const std::vector<ProbeMessage>& messages,
                              std::size_t ranks);

[[nodiscard]] Seconds median(std::vector<Seconds> times);

/// The lower quartile of repetitions: what it takes when nobody disturbs the machine. Disturbances
/// only ever add.
[[nodiscard]] Seconds undisturbed(std::vector<Seconds> times);

}  // namespace moeshift
