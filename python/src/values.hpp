// SPDX-License-Identifier: Apache-2.0
// Between Python's objects and the values of the library.
#pragma once

#include <cstddef>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "moeshift/model/load.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift::python {

using Int64Array = pybind11::array_t<std::int64_t>;

/// One or several load matrices: an array [layers, experts] or [steps, layers, experts], or a list
/// of arrays [layers, experts].
/// @throws InputError for another shape or type, no steps, negative or non-finite loads, and loads
///         above 2^53, naming layer and expert.
[[nodiscard]] std::vector<LoadMatrix> loads_of(const pybind11::object& loads);

/// An array [layers, slots] of experts, -1 = a slot that holds nothing.
/// @param experts 0 = as many as the largest says.
/// @throws InputError for another shape or type, or experts out of range.
[[nodiscard]] Placement placement_of(const pybind11::object& map, std::size_t experts,
                                     std::size_t ranks, const char* name);

/// [layers, slots], -1 = a slot that holds nothing.
[[nodiscard]] Int64Array physical_to_logical(const Placement& placement);
/// [layers, experts, most replicas], ascending slots, then -1.
[[nodiscard]] Int64Array logical_to_physical(const Placement& placement);
/// [layers, experts].
[[nodiscard]] Int64Array replica_count(const Placement& placement);

/// Objects, lists, strings and numbers as Python has them.
[[nodiscard]] pybind11::object to_python(const nlohmann::ordered_json& json);

}  // namespace moeshift::python
