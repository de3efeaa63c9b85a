// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/served_placement.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "moeshift/core/rng.hpp"

namespace moeshift {
namespace {

Placement with_layers_of(const Placement& base, const Placement& other,
                         const std::vector<LayerId>& layers) {
  IdMatrix<LayerId, SlotId, ExpertId> slots = base.physical_to_logical();
  for (const LayerId layer : layers) {
    const auto row = other.layer(layer);
    std::copy(row.begin(), row.end(), slots.row(layer).begin());
  }
  return {base.experts(), base.ranks(), std::move(slots)};
}

LinkContention contention_of(const BytesByLink& bytes, double background_share) {
  LinkContention contention{};
  for (std::size_t link = 1; link < kLinkClasses; ++link) {
    if (bytes[link] > Bytes()) contention[link] = background_share;
  }
  return contention;
}

}  // namespace

ServedPlacement::ServedPlacement(const LaneSettings& settings, const ServingWorld& world,
                                 Placement initial)
    : settings_(settings),
      world_(world),
      placement_(std::move(initial)),
      dispatch_before_(placement_.layers()),
      slots_before_(placement_.physical_to_logical()),
      layer_seconds_(placement_.layers()),
      layer_gains_(placement_.layers()) {
  dispatch_ = dispatch_of(placement_, {});
}

DispatchOptions ServedPlacement::options() const {
  DispatchOptions options = settings_.dispatch;
  options.silent = world_.inactive();
  return options;
}

LayerDispatch ServedPlacement::shares(const Placement& placement, LayerId layer,
                                      const LoadMatrix& load) const {
  DispatchOptions expected = options();
  const bool known = load.rows() > 0;
  // A random draw is even in expectation; the best split of an unknown load is not known.
  const bool expectation =
      expected.rule == DispatchRule::kRandom || (expected.rule == DispatchRule::kLp && !known);
  if (expectation) expected.rule = DispatchRule::kEven;
  const auto row = known ? load.row(layer) : std::span<const double>();
  return dispatch_shares(placement, layer, world_.model().topology(), expected, row);
}

std::vector<LayerDispatch> ServedPlacement::dispatch_of(const Placement& placement,
                                                        const LoadMatrix& load) const {
  std::vector<LayerDispatch> dispatch;
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    dispatch.push_back(shares(placement, layer, load));
  }
  return dispatch;
}

Outlook ServedPlacement::outlook(const Placement& placement, const LoadMatrix& load) const {
  return outlook_of(load, dispatch_of(placement, load), world_.model());
}

bool ServedPlacement::dispatch_follows_load() const {
  return settings_.dispatch.rule == DispatchRule::kRandom ||
         settings_.dispatch.rule == DispatchRule::kLp;
}

/// Splits this very step, under the rules that look at its load.
void ServedPlacement::dispatch_step(const LoadMatrix& load, std::uint64_t number) {
  DispatchOptions drawn = options();
  drawn.seed = Rng::stream(settings_.seed, number).next();
  const Placement before(placement_.experts(), placement_.ranks(), slots_before_);
  for (const LayerId layer : load.row_ids()) {
    const std::size_t index = layer.index();
    const auto row = load.row(layer);
    const auto share = [&](const Placement& placement) {
      return dispatch_shares(placement, layer, world_.model().topology(), drawn, row);
    };
    dispatch_[index] = share(placement_);
    if (!dispatch_before_[index].empty()) dispatch_before_[index] = share(before);
  }
}

void ServedPlacement::serve(const LoadMatrix& load, std::uint64_t number, bool repeated) {
  if (repeated && valid_) return;
  if (dispatch_follows_load()) dispatch_step(load, number);
  const ServingModel& model = world_.model();
  double pairs = 0;
  double balancedness = 0;
  for (const LayerId layer : load.row_ids()) {
    const std::size_t index = layer.index();
    const LayerTime time = model.layer_time(load.row(layer), dispatch_[index]);
    layer_seconds_[index] = time.total;
    pairs += time.mean_tokens;
    if (time.busiest_tokens > 0) balancedness += time.mean_tokens / time.busiest_tokens;
    layer_gains_[index] = Seconds();
    if (dispatch_before_[index].empty()) continue;
    const Seconds before = model.layer_time(load.row(layer), dispatch_before_[index]).total;
    layer_gains_[index] = before - time.total;
  }
  const std::size_t loaded = loaded_layers(load);
  const auto layers = static_cast<double>(std::max<std::size_t>(loaded, 1));
  const auto ranks = static_cast<double>(model.ranks_serving());
  outside_ = model.outside_layers(pairs / layers * ranks, std::max<std::size_t>(loaded, 1));
  balancedness_ = loaded > 0 ? balancedness / layers : 1;
  valid_ = true;
}

Seconds ServedPlacement::alone() const {
  return std::accumulate(layer_seconds_.begin(), layer_seconds_.end(), outside_);
}

Seconds ServedPlacement::contended(const LoadMatrix& load, const BytesByLink& bytes) const {
  const LinkContention contention = contention_of(bytes, settings_.mode.background_share);
  Seconds total = outside_;
  for (const LayerId layer : load.row_ids()) {
    total += world_.model().layer_time(load.row(layer), dispatch_[layer.index()], contention).total;
  }
  return total;
}

double ServedPlacement::slowdown(const LoadMatrix& load, const Outlook& now,
                                 const BytesByLink& bytes) const {
  const Seconds alone = outside_ + now.total();
  const Seconds beside = contended(load, bytes);
  return beside > Seconds() ? 1 - ratio(alone, beside) : 0;
}

bool ServedPlacement::has_baseline() const {
  return std::any_of(dispatch_before_.begin(), dispatch_before_.end(),
                     [](const LayerDispatch& before) { return !before.empty(); });
}

void ServedPlacement::commit(const Placement& target, const std::vector<LayerId>& layers,
                             bool first_baseline) {
  for (const LayerId layer : layers) {
    const std::size_t index = layer.index();
    LayerDispatch before = std::exchange(dispatch_[index], shares(target, layer, {}));
    if (first_baseline && !dispatch_before_[index].empty()) continue;
    dispatch_before_[index] = std::move(before);
    const auto row = placement_.layer(layer);
    std::copy(row.begin(), row.end(), slots_before_.row(layer).begin());
  }
  placement_ = with_layers_of(placement_, target, layers);
  valid_ = false;
}

void ServedPlacement::replace(Placement placement) {
  placement_ = std::move(placement);
  slots_before_ = placement_.physical_to_logical();
  std::fill(dispatch_before_.begin(), dispatch_before_.end(), LayerDispatch());
  dispatch_ = dispatch_of(placement_, {});
  valid_ = false;
}

void ServedPlacement::start_baseline() {
  std::fill(dispatch_before_.begin(), dispatch_before_.end(), LayerDispatch());
  std::fill(layer_gains_.begin(), layer_gains_.end(), Seconds());
}

}  // namespace moeshift
