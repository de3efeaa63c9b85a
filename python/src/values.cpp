// SPDX-License-Identifier: Apache-2.0
#include "values.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"

#include "array_view.hpp"

namespace moeshift::python {
namespace {

namespace py = pybind11;

constexpr double kMostTokens = 0x1p53;

LoadMatrix load_of(const ArrayView& view) {
  if (view.dimensions() != 2 || view.extent(0) == 0 || view.extent(1) == 0) {
    throw InputError(view.name(), "expected loads [layers, experts], got " + view.described());
  }
  LoadMatrix load(view.extent(0), view.extent(1));
  for (const LayerId layer : load.row_ids()) {
    const auto row = load.row(layer);
    view[layer.index()].copy_to(row.data());
    const auto bad = std::find_if_not(row.begin(), row.end(), [](double tokens) {
      return tokens >= 0 && tokens <= kMostTokens;  // NaN is neither
    });
    if (bad == row.end()) continue;
    throw InputError(view.name(),
                     fmt::format("layer {} expert {} has load {}; expected a finite number >= 0 "
                                 "and <= 2^53",
                                 layer.value(), bad - row.begin(), *bad));
  }
  return load;
}

void check_alike(const std::vector<LoadMatrix>& loads) {
  for (std::size_t i = 1; i < loads.size(); ++i) {
    if (loads[i].rows() == loads[0].rows() && loads[i].columns() == loads[0].columns()) continue;
    throw InputError("loads",
                     fmt::format("window {} is [{}, {}], the first [{}, {}]", i, loads[i].rows(),
                                 loads[i].columns(), loads[0].rows(), loads[0].columns()));
  }
}

/// Without an initial value: every item is written.
Int64Array new_array(std::vector<py::ssize_t> shape) {
  return Int64Array(std::move(shape));
}

py::ssize_t signed_size(std::size_t size) {
  return static_cast<py::ssize_t>(size);
}

}  // namespace

std::vector<LoadMatrix> loads_of(const py::object& loads) {
  std::vector<LoadMatrix> windows;
  if (py::isinstance<py::list>(loads) || py::isinstance<py::tuple>(loads)) {
    for (const py::handle& item : loads) {
      windows.push_back(load_of(ArrayView(py::reinterpret_borrow<py::object>(item), "loads")));
    }
  } else {
    const ArrayView view(loads, "loads");
    if (view.dimensions() != 3) {
      windows.push_back(load_of(view));
    } else {
      for (std::size_t step = 0; step < view.extent(0); ++step)
        windows.push_back(load_of(view[step]));
    }
  }
  if (windows.empty()) throw InputError("loads", "expected at least one window");
  check_alike(windows);
  return windows;
}

Placement placement_of(const py::object& map, std::size_t experts, std::size_t ranks,
                       const char* name) {
  const ArrayView view(map, name);
  if (view.dimensions() != 2 || view.extent(0) == 0 || view.extent(1) == 0) {
    throw InputError(name, "expected experts [layers, slots], got " + view.described());
  }
  IdMatrix<LayerId, SlotId, ExpertId> slots(view.extent(0), view.extent(1));
  std::vector<std::int64_t> row(view.extent(1));
  std::int64_t most = -1;
  const auto limit = experts > 0 ? static_cast<std::int64_t>(experts) : std::int64_t{1} << 31;
  for (const LayerId layer : slots.row_ids()) {
    view[layer.index()].copy_to(row.data());
    for (std::size_t slot = 0; slot < row.size(); ++slot) {
      if (row[slot] < -1 || row[slot] >= limit) {
        throw InputError(name, fmt::format("layer {} slot {} holds {}; expected an expert 0 .. {} "
                                           "or -1 for none",
                                           layer.value(), slot, row[slot], limit - 1));
      }
      slots(layer, SlotId(slot)) = row[slot] < 0 ? ExpertId::none() : ExpertId(row[slot]);
      most = std::max(most, row[slot]);
    }
  }
  if (experts == 0) experts = static_cast<std::size_t>(most + 1);
  if (ranks == 0) throw InputError("ranks", "needed: an array does not say how many there are");
  return {experts, ranks, std::move(slots)};
}

Int64Array physical_to_logical(const Placement& placement) {
  Int64Array array = new_array({signed_size(placement.layers()), signed_size(placement.slots())});
  std::int64_t* to = array.mutable_data();
  for (const ExpertId expert : placement.physical_to_logical().items()) {
    *to++ = expert.is_none() ? -1 : std::int64_t{expert.value()};
  }
  return array;
}

Int64Array replica_count(const Placement& placement) {
  Int64Array array = new_array({signed_size(placement.layers()), signed_size(placement.experts())});
  std::int64_t* to = array.mutable_data();
  for (const LayerId layer : placement.physical_to_logical().row_ids()) {
    for (const std::uint32_t count : placement.replica_counts(layer)) *to++ = count;
  }
  return array;
}

Int64Array logical_to_physical(const Placement& placement) {
  std::uint32_t most = 0;
  const auto layers = placement.physical_to_logical().row_ids();
  for (const LayerId layer : layers) {
    for (const std::uint32_t count : placement.replica_counts(layer)) most = std::max(most, count);
  }
  Int64Array array = new_array(
      {signed_size(placement.layers()), signed_size(placement.experts()), signed_size(most)});
  std::int64_t* to = array.mutable_data();
  std::fill(to, to + array.size(), std::int64_t{-1});
  std::vector<std::uint32_t> found(placement.experts());
  for (const LayerId layer : layers) {
    std::fill(found.begin(), found.end(), 0U);
    std::int64_t slot = 0;
    for (const ExpertId expert : placement.layer(layer)) {
      if (!expert.is_none()) to[expert.index() * most + found[expert.index()]++] = slot;
      ++slot;
    }
    to += placement.experts() * most;
  }
  return array;
}

py::object to_python(const nlohmann::ordered_json& json) {
  using Kind = nlohmann::ordered_json::value_t;
  switch (json.type()) {
    case Kind::object: {
      py::dict dict;
      for (const auto& [key, value] : json.items()) dict[py::str(key)] = to_python(value);
      return dict;
    }
    case Kind::array: {
      py::list list(json.size());
      for (std::size_t i = 0; i < json.size(); ++i) list[i] = to_python(json[i]);
      return list;
    }
    case Kind::string:
      return py::str(json.get_ref<const std::string&>());
    case Kind::boolean:
      return py::bool_(json.get<bool>());
    case Kind::number_integer:
      return py::int_(json.get<std::int64_t>());
    case Kind::number_unsigned:
      return py::int_(json.get<std::uint64_t>());
    case Kind::number_float:
      return py::float_(json.get<double>());
    default:
      return py::none();
  }
}

}  // namespace moeshift::python
