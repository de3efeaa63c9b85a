// SPDX-License-Identifier: Apache-2.0
// Recordings of tokens and the experts they chose; as a trace they are the sums.
#pragma once

#include <iosfwd>
#include <memory>
#include <span>
#include <string>

#include "moeshift/formats/trace_format.hpp"
#include "moeshift/model/routes.hpp"

namespace moeshift {

/// Yields stretches of tokens in file order.
class RoutesReader {
 public:
  RoutesReader(const RoutesReader&) = delete;
  RoutesReader& operator=(const RoutesReader&) = delete;
  virtual ~RoutesReader() = default;

  /// num_experts and top_k are set.
  [[nodiscard]] const TraceHeader& header() const { return header_; }
  /// Overwrites `routes` (its memory is reused); false at the end.
  /// @throws InputError for ids out of range and an expert twice in a row.
  virtual bool next(Routes& routes) = 0;

 protected:
  RoutesReader() = default;
  TraceHeader header_;
};

/// A trace of the loads of `routes`; TraceReader::routes() gives the routes themselves.
[[nodiscard]] std::unique_ptr<TraceReader> trace_of(std::unique_ptr<RoutesReader> routes);

/// Writes routes as JSON Lines, a step and layer each; the format "routes" reads them back, given
/// as many tokens a step.
void write_route_lines(RoutesReader& routes, std::ostream& out);

/// Appends `ids` as one row. @throws InputError unless they are distinct and below `num_experts`.
void append_route(std::span<const double> ids, std::size_t num_experts, LayerRoutes& layer,
                  const std::string& place);

/// @throws InputError saying that `place` does not tell how many experts there are.
[[nodiscard]] std::size_t demanded_experts(const TraceReadOptions& options,
                                           const std::string& place);

}  // namespace moeshift
