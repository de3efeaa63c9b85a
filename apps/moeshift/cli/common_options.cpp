// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/common_options.hpp"

namespace moeshift::cli {

void declare_common(OptionSet& options, CommonOptions& common) {
  options.begin_common();
  if (!options.has("--format")) {  // export writes an engine's file: its formats are others
    options.choice("--format", common.format, {"table", "json", "csv", "markdown"},
                   "form of the answer");
  }
  options.option("-o,--output", common.output,
                 "file for the answer; '-' is standard output. A file gets JSON unless --format or "
                 "its ending (.csv, .md, .txt) says otherwise");
  options.flag("-q,--quiet", common.quiet, "no talk on standard error");
  options.flag("-v,--verbose", common.verbose,
               "on standard error: files read and written, time and memory used");
  options.choice("--color", common.color, {"auto", "always", "never"}, "colour on terminals");
  options.option("--seed", common.seed, "seed of everything random");
  options.option("--threads", common.threads, "threads to use; 0 = all");
  options.option("--max-input", common.max_input, "refuse inputs that are longer, such as 2GiB");
  options.option("--config", common.config,
                 "settings file: any option as key = value; default: moeshift.toml in this folder; "
                 "none: no file");
  options.flag("--show-config", common.show_config,
               "print what would be used and who says so, and do nothing");
}

}  // namespace moeshift::cli
