// SPDX-License-Identifier: Apache-2.0
// moeshift completion SHELL: text for the shell to source, or the manual page.
#include "apps/moeshift/commands/commands.hpp"
#include "apps/moeshift/generate.hpp"
#include "apps/moeshift/session.hpp"

namespace moeshift::cli {
namespace {

class Completion final : public Command {
 public:
  void declare(Options& options) override {
    options.choice("--for", target_, {"bash", "zsh", "fish", "man"}, "what to write");
  }

  ExitCode run(Session& session) override {
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
