// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/trickle.hpp"

#include <algorithm>
#include <utility>

namespace moeshift {

Bytes TrickleMove::bytes() const {
  Bytes sum;
  for (const Bytes of_link : work.bytes) sum += of_link;
  return sum;
}

TrickleQueue::TrickleQueue(std::size_t layers, std::uint64_t interval, std::uint64_t first)
    : layers_(layers), interval_(interval), first_(first) {
  restart(first);
}

void TrickleQueue::restart(std::uint64_t step) {
  for (Layer& layer : layers_) layer = {std::max(step, first_), {}};
}

std::vector<LayerId> TrickleQueue::due(std::uint64_t step) const {
  std::vector<LayerId> ids;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].next_look <= step) ids.emplace_back(i);
  }
  return ids;
}

void TrickleQueue::offer(LayerId layer, std::uint64_t step, std::optional<TrickleMove> move) {
  Layer& mine = layers_[layer.index()];
  mine.move = std::move(move);
  // Each layer keeps to its own place in the interval.
  const std::uint64_t turn = first_ + interval_ * layer.index() / layers_.size();
  const std::uint64_t since = step >= turn ? step - turn : 0;
  mine.next_look = step >= turn ? turn + (since / interval_ + 1) * interval_ : turn;
  if (mine.next_look <= step) mine.next_look = step + interval_;
}

std::vector<TrickleMove> TrickleQueue::take(Bytes budget) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].move) order.push_back(i);
  }
  const auto gain_per_byte = [&](std::size_t i) {
    const TrickleMove& move = *layers_[i].move;
    return move.gain.count() / std::max(1e-9, static_cast<double>(move.bytes().count()));
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return gain_per_byte(a) > gain_per_byte(b);
  });
  std::vector<TrickleMove> taken;
  Bytes used;
  for (const std::size_t i : order) {
    const Bytes bytes = layers_[i].move->bytes();
    if (!taken.empty() && used + bytes > budget) continue;
    used += bytes;
    taken.push_back(*std::exchange(layers_[i].move, std::nullopt));
    layers_[i].next_look = 0;
  }
  return taken;
}

}  // namespace moeshift
