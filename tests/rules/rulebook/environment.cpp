// SPDX-License-Identifier: Apache-2.0
// For whole programs that load the rulebook in a vendor's place: seed and delays come from the
// environment, findings go to standard error at the end.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "machine.hpp"

namespace rulebook {
namespace {

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct WholeProgram {
  WholeProgram() {
    if (std::getenv("RULEBOOK_SEED") == nullptr) return;
    Options options;
    options.seed = number_of("RULEBOOK_SEED", options.seed);
    options.delay = number_of("RULEBOOK_DELAY", options.delay);
    options.devices = static_cast<int>(number_of("RULEBOOK_DEVICES", 8));
    configure(options);
    says = true;
  }
  ~WholeProgram() {
    if (!says) return;
    for (const Finding& finding : findings()) {
      std::fprintf(stderr, "rulebook: %s\n", finding.line().c_str());
    }
    std::fprintf(stderr, "rulebook: %zu rules broken, %llu pieces of work\n", findings().size(),
                 static_cast<unsigned long long>(turns()));
  }
  bool says = false;
};

const WholeProgram whole_program;

}  // namespace
}  // namespace rulebook
