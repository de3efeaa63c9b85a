// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>

namespace moeshift {

/// The user asked to stop (Ctrl-C) and there is no partial answer to give. Exit code 130.
class InterruptedError : public std::runtime_error {
 public:
  InterruptedError() : std::runtime_error("interrupted") {}
};

}  // namespace moeshift
