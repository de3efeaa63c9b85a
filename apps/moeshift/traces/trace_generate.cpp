// SPDX-License-Identifier: Apache-2.0
// moeshift trace generate: a synthetic trace from a preset and a seed.
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/routes_reader.hpp"
#include "moeshift/trace/synthetic.hpp"
#include "moeshift/trace/synthetic_routes.hpp"

#include "apps/moeshift/cli/option_value.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/traces/commands.hpp"
#include "apps/moeshift/traces/trace_copy.hpp"

namespace moeshift::cli {
namespace {

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const SyntheticPreset& preset : synthetic_presets()) names.emplace_back(preset.name);
  return names;
}

class TraceGenerate final : public Command {
 public:
  void declare(Options& options) override {
    options.choice("--preset", preset_, preset_names(),
                   "what it should resemble; the options below override the preset");
    options.choice("--to", format_, writable_trace_format_names(), "format to write");
    options.option("--layers", layers_, "MoE layers");
    options.option("--experts", experts_, "experts per layer");
    options.option("--top-k", top_k_, "experts that each token takes");
    options.option("--groups", groups_, "expert groups, hot together");
    options.option("--steps", steps_, "steps to write");
    options.option("--tokens", tokens_, "tokens per step");
    options.option("--sigma", sigma_, "spread of the log loads, mean over layers");
    options.option("--sigma-sd", sigma_sd_, "standard deviation of that spread between layers");
    options.option("--rho", rho_, "share of the log-load variance that a group has in common");
    options.option("--kappa", kappa_, "gamma shape of the group effect; small = few hot groups");
    options.option("--dispersion", dispersion_, "sampling variance over multinomial variance");
    options.option("--drift", drift_, "share of the log-load spread that drifts, 0 to 1");
    options.option("--persistence", persistence_, "correlation of the drift from step to step");
    options.list("--domain-changes", domain_changes_, "steps at which the domain changes abruptly");
    options.option("--domain-correlation", domain_correlation_,
                   "correlation of log loads across a domain change");
    options.section("routes");
    options.flag("--routes", routes_,
                 "tokens and the experts they choose, in cliques, as JSON Lines; heeds --layers, "
                 "--experts, --top-k, --steps, --tokens, --drift and --domain-changes");
    options.option("--clique", clique_, "experts that go together; divides --experts");
    options.option("--affinity", affinity_,
                   "chance that a token takes an expert of its own clique, 0 to 1");
    options.option("--skew", skew_, "how unlike cliques are in tokens: Zipf's exponent, 0 = alike");
  }

  ExitCode run(Session& session) override {
    if (routes_) return write_routes(session);
    if (clique_ || affinity_ || skew_) {
      throw InputError("--routes", "expected with --clique, --affinity and --skew");
    }
    const SyntheticOptions options = chosen(session);
    check_steps(options.num_steps, options.domain_changes);
    const auto trace = make_synthetic_trace(options);
    const std::string& path = session.common().output;
    session.write_file(path, [&](std::ostream& out) {
      copy_trace(*trace, *trace_format(format_).create(out, trace->header()), session.progress(),
                 options.num_steps);
    });
    if (path != "-") {
      session.say(fmt::format("{}: {} steps of {} layers x {} experts", path, options.num_steps,
                              options.num_layers, options.num_experts));
    }
    return ExitCode::kGood;
  }

 private:
  template <class Steps>
  static void check_steps(std::size_t steps, const Steps& domain_changes) {
    if (steps < 1) throw InputError("--steps", "expected at least 1");
    for (const auto step : domain_changes) {
      if (step > 0 && step < steps) continue;
      throw InputError("--domain-changes",
                       fmt::format("expected steps 1 to {}, got {}", steps - 1, step));
    }
  }

  ExitCode write_routes(Session& session) {
    if (sigma_ || sigma_sd_ || rho_ || kappa_ || dispersion_ || persistence_ || groups_ ||
        domain_correlation_ || format_ != "neutral") {
      throw InputError("--routes",
                       "expected none of the options of loads (--sigma, --rho, --to, ...)");
    }
    SyntheticRoutes options;
    options.seed = session.seed();
    options.num_layers = layers_.value_or(options.num_layers);
    options.num_experts = experts_.value_or(options.num_experts);
    options.top_k = top_k_.value_or(options.top_k);
    options.num_steps = steps_.value_or(options.num_steps);
    options.tokens_per_step = tokens_.value_or(options.tokens_per_step);
    options.clique = clique_.value_or(options.clique);
    options.affinity = affinity_.value_or(options.affinity);
    options.skew = skew_.value_or(options.skew);
    options.drift = drift_.value_or(options.drift);
    for (const std::string& step : domain_changes_) {
      options.domain_changes.push_back(parse_count("--domain-changes", step));
    }
    check_steps(options.num_steps, options.domain_changes);
    const auto reader = make_synthetic_routes(options);
    const std::string& path = session.common().output;
    session.write_file(path, [&](std::ostream& out) { write_route_lines(*reader, out); });
    if (path != "-") {
      session.say(
          fmt::format("{}: {} tokens in {} layers x {} experts; read it with "
                      "--route-tokens {}",
                      path, options.num_steps * options.tokens_per_step, options.num_layers,
                      options.num_experts, options.tokens_per_step));
    }
    return ExitCode::kGood;
  }

  [[nodiscard]] SyntheticOptions chosen(const Session& session) const {
    SyntheticOptions options = synthetic_preset(preset_);
    options.seed = session.seed();
    options.num_layers = layers_.value_or(options.num_layers);
    options.num_experts = experts_.value_or(options.num_experts);
    options.top_k = top_k_.value_or(options.top_k);
    options.num_expert_groups = groups_.value_or(options.num_expert_groups);
    options.num_steps = steps_.value_or(options.num_steps);
    options.tokens_per_step = tokens_.value_or(options.tokens_per_step);
    options.sigma_mean = sigma_.value_or(options.sigma_mean);
    options.sigma_sd = sigma_sd_.value_or(options.sigma_sd);
    options.rho = rho_.value_or(options.rho);
    options.kappa = kappa_.value_or(options.kappa);
    options.dispersion = dispersion_.value_or(options.dispersion);
    options.drift = drift_.value_or(options.drift);
    options.persistence = persistence_.value_or(options.persistence);
    options.domain_correlation = domain_correlation_.value_or(options.domain_correlation);
    for (const std::string& step : domain_changes_) {
      options.domain_changes.push_back(parse_count("--domain-changes", step));
    }
    return options;
  }

  std::string preset_ = "prefill";
  std::string format_ = "neutral";
  std::optional<std::size_t> layers_, experts_, top_k_, groups_, steps_, tokens_;
  std::optional<double> sigma_, sigma_sd_, rho_, kappa_, dispersion_, drift_, persistence_;
  std::vector<std::string> domain_changes_;
  std::optional<double> domain_correlation_;
  bool routes_ = false;
  std::optional<std::size_t> clique_;
  std::optional<double> affinity_, skew_;
};

}  // namespace

std::unique_ptr<Command> make_trace_generate() {
  return std::make_unique<TraceGenerate>();
}

}  // namespace moeshift::cli
