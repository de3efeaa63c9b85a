// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/serving_machine.hpp"

#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"

#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {

ServingParameters read_serving(Session& session, const PlannedFor& planned,
                               const std::optional<std::string>& serving) {
  const std::string path = session.config_path("serving", serving.value_or(planned.cluster->name));
  const ServingMachine machine =
      read_serving_machine(JsonReader(session.document(path), Session::name_of_input(path)));
  return serving_parameters(machine, *planned.model);
}

}  // namespace moeshift::cli
