// SPDX-License-Identifier: Apache-2.0
// moeshift completion SHELL: text for the shell to source, or the manual page.
#include <array>
#include <string>
#include <string_view>

#include "moeshift/core/suggest.hpp"

#include "apps/moeshift/cli/commands.hpp"
#include "apps/moeshift/cli/generate.hpp"
#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {
namespace {

class Completion final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("SHELL", target_, "bash, zsh, fish, or man for the manual page", false);
  }

  ExitCode run(Session& session) override {
    static constexpr std::array<std::string_view, 4> kTargets = {"bash", "zsh", "fish", "man"};
    (void)index_of_name("shell", target_, kTargets);
    session.write_file(session.common().output, [this](std::ostream& out) {
      if (target_ == "bash") return write_bash_completion(out);
      if (target_ == "zsh") return write_zsh_completion(out);
      if (target_ == "fish") return write_fish_completion(out);
      write_man_page(out);
    });
    return ExitCode::kGood;
  }

 private:
  std::string target_ = "bash";
};

}  // namespace

std::unique_ptr<Command> make_completion() {
  return std::make_unique<Completion>();
}

}  // namespace moeshift::cli
