// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/shuffle_progress.hpp"

#include <cstdint>

#include <fmt/format.h>

#include "moeshift/core/interrupted.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift::cli {
namespace {

/// Measured on hosts: pages that were never touched cost several times what later writes do.
constexpr double kFirstTouch = 3;
constexpr double kCopiesOfAMove = 4;  ///< gathered, sent, staged, committed
constexpr double kComparing = 1.5;    ///< the pattern is computed again

}  // namespace

ShuffleWork work_of(const ShuffleJob& job, const ShuffleOptions& options) {
  double live = 0;
  for (std::size_t layer = 0; layer < job.plan->layers.size(); ++layer) {
    live += static_cast<double>(job.old->slots()) *
            static_cast<double>(job.layout.of(layer, ExpertId(0)).slot_bytes.count());
  }
  const TransferTotals totals = totals_of(*job.plan);
  Bytes moved;
  for (const Bytes bytes : totals.bytes_by_link) moved += bytes;
  return {.prepare = kFirstTouch * live,
          .write = live,
          .move = kCopiesOfAMove * static_cast<double>(moved.count()),
          .compare = options.verify ? kComparing * live : 0,
          .repetitions = options.repeat};
}

void tell_progress(Progress& progress, std::string_view what, double done, double whole) {
  constexpr double kParts = 1e6;
  try {
    progress.update(what, static_cast<std::uint64_t>(done / whole * kParts),
                    static_cast<std::uint64_t>(kParts));
  } catch (const InterruptedError&) {
    // See above.
  }
}

void ShuffleProgress::progressed(RankId rank, std::string_view what, std::size_t done,
                                 std::size_t total) {
  if (rank != RankId(0) || total == 0) return;
  const double part = static_cast<double>(done) / static_cast<double>(total);
  if (what.starts_with("preparing")) return tell_(what, part * work_.prepare);
  if (what.starts_with("writing")) return tell_(what, work_.prepare + part * work_.write);
  const bool moving = what.starts_with("moving");
  // The first batch after a whole repetition is the next one's.
  if (moving && moved_ && repetition_ + 1 < work_.repetitions) {
    ++repetition_;
    moved_ = false;
  }
  if (moving) moved_ = done == total;
  const double inside = moving ? part * work_.move : work_.move + part * work_.compare;
  const double before =
      work_.prepare + work_.write + static_cast<double>(repetition_) * (work_.move + work_.compare);
  if (work_.repetitions == 1) return tell_(what, before + inside);
  const std::string_view verb = what.substr(0, what.find(" ("));
  tell_(fmt::format("{}, {} of {} times", verb, repetition_ + 1, work_.repetitions),
        before + inside);
}

}  // namespace moeshift::cli
