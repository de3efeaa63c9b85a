// SPDX-License-Identifier: Apache-2.0
// Load traces that look like recorded ones, from a seed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

/// How the expected loads of one layer are spread over its experts.
enum class LoadShape {
  kLogNormal,  ///< with an effect that the experts of a group share
  kGamma,      ///< independent, without groups
};

/// Everything that decides a synthetic trace. The default is the "prefill" preset.
///
/// Expected loads of layer l at step t, in the symbols of the source below:
///   log w[e] = sigma * (sqrt(1 - drift^2) * u[e] + drift * d_t[e])
///   u[e]     = sqrt(rho) * g[group(e)] + sqrt(1 - rho) * z[e]
///   g        = (Gamma(kappa) - kappa) / sqrt(kappa), z ~ N(0,1), sigma ~ N(sigma_mean, sigma_sd)
///   d_t      = persistence * d_{t-1} + sqrt(1 - persistence^2) * N(0,1)
/// so that log w correlates by 1 - drift^2 * (1 - persistence^n) over n steps; at a domain change
/// u <- c * u + sqrt(1 - c^2) * fresh u, with c the domain correlation. kGamma takes log
/// Gamma(gamma_shape) for sigma * u. Shares are w normalised and clipped at 1 / top_k; counts are
/// Dirichlet-multinomial with `dispersion` times the multinomial variance.
/// Source: fits to recordings of DeepSeek-V3 (sglang issue 6017) and gpt-oss-20b; see
/// traces/README.
struct SyntheticOptions {
  std::string preset = "prefill";  ///< only a name, kept in the header
  std::size_t num_layers = 58;
  std::size_t num_experts = 256;
  std::size_t top_k = 8;
  std::size_t num_expert_groups = 8;
  std::size_t num_steps = 8;
  std::size_t tokens_per_step = 16384;
  LoadShape shape = LoadShape::kLogNormal;
  double sigma_mean = 0.70;
  double sigma_sd = 0.08;
  double rho = 0.2;
  double kappa = 1.5;
  double gamma_shape = 2;
  double dispersion = 2;
  double drift = 0.4;
  double persistence = 0.95;
  std::vector<std::size_t> domain_changes;  ///< steps before which the domain changes
  double domain_correlation = 0.3;
  std::uint64_t seed = 0;
};

/// A named starting point.
struct SyntheticPreset {
  std::string_view name;
  std::string_view summary;
  SyntheticOptions options;
};

/// prefill, prefill-long, decode, benchmark, gpt-oss.
[[nodiscard]] std::span<const SyntheticPreset> synthetic_presets();
/// @throws InputError with the closest known name.
[[nodiscard]] const SyntheticOptions& synthetic_preset(std::string_view name);

/// Makes the trace step by step, so that it can be as long as one likes.
///
/// Every layer of every step sums to exactly tokens_per_step * top_k, and no expert exceeds
/// tokens_per_step. Layers draw from streams of their own: layer l is the same in a trace with more
/// layers. Equal options give equal steps. O(layers * experts) per step.
/// @throws InputError for options that make no sense.
[[nodiscard]] std::unique_ptr<TraceReader> make_synthetic_trace(const SyntheticOptions& options);

}  // namespace moeshift
