// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/spread_budget.hpp"

#include <algorithm>

namespace moeshift {
namespace {

struct Segment {
  std::size_t layer;
  std::size_t from;
  std::size_t to;
  double cost;
  double slope;  ///< value lost per unit of cost; larger is better
};

/// The corners of the lower convex hull from the start on, by index: cost rises, value falls, each
/// slope gentler than the one before.
std::vector<std::size_t> hull(const std::vector<TrajectoryPoint>& points) {
  std::vector<std::size_t> order;
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i].value < points[0].value && points[i].cost >= points[0].cost) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return points[a].cost != points[b].cost ? points[a].cost < points[b].cost
                                            : points[a].value < points[b].value;
  });
  std::vector<std::size_t> corners{0};
  for (const std::size_t i : order) {
    if (points[i].value >= points[corners.back()].value) continue;
    while (corners.size() > 1) {
      const TrajectoryPoint& a = points[corners[corners.size() - 2]];
      const TrajectoryPoint& b = points[corners.back()];
      const double turn = (b.value - a.value) * (points[i].cost - a.cost) -
                          (points[i].value - a.value) * (b.cost - a.cost);
      if (turn < 0) break;
      corners.pop_back();
    }
    corners.push_back(i);
  }
  return corners;
}

std::vector<Segment> segments_of(std::span<const std::vector<TrajectoryPoint>> layers) {
  std::vector<Segment> segments;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    const std::vector<std::size_t> corners = hull(layers[layer]);
    for (std::size_t i = 1; i < corners.size(); ++i) {
      const TrajectoryPoint& a = layers[layer][corners[i - 1]];
      const TrajectoryPoint& b = layers[layer][corners[i]];
      const double cost = b.cost - a.cost;
      segments.push_back(
          {layer, corners[i - 1], corners[i], cost, (a.value - b.value) / std::max(cost, 1e-12)});
    }
  }
  std::stable_sort(segments.begin(), segments.end(),
                   [](const Segment& a, const Segment& b) { return a.slope > b.slope; });
  return segments;
}

/// The best point of a segment that still fits.
std::size_t part_way(const std::vector<TrajectoryPoint>& points, std::size_t from, double room) {
  std::size_t best = from;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i].cost - points[from].cost > room) continue;
    if (points[i].value < points[best].value) best = i;
  }
  return best;
}

}  // namespace

std::vector<std::size_t> spread_budget(std::span<const std::vector<TrajectoryPoint>> layers,
                                       double budget) {
  std::vector<std::size_t> taken(layers.size(), 0);
  double left = budget;
  for (const auto& layer : layers) left -= layer.empty() ? 0 : layer.front().cost;
  std::vector<bool> closed(layers.size(), false);
  for (const Segment& segment : segments_of(layers)) {
    if (closed[segment.layer]) continue;
    const auto& points = layers[segment.layer];
    const bool fits = segment.cost <= left;
    const std::size_t to = fits ? segment.to : part_way(points, segment.from, left);
    closed[segment.layer] = !fits;
    left -= points[to].cost - points[taken[segment.layer]].cost;
    taken[segment.layer] = to;
  }
  return taken;
}

}  // namespace moeshift
