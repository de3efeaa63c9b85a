// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/synthetic.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

std::vector<LoadMatrix> loads_of(const SyntheticOptions& options) {
  const auto trace = make_synthetic_trace(options);
  std::vector<LoadMatrix> loads;
  TraceStep step;
  while (trace->next(step)) loads.push_back(step.load);
  return loads;
}

/// Mean over layers of hottest expert / mean expert, over all steps.
double peak_of(const std::vector<LoadMatrix>& loads) {
  const LoadMatrix sum = sum_of(loads);
  double peak = 0;
  for (const LayerId layer : sum.row_ids()) {
    const auto row = sum.row(layer);
    const double mean = layer_total(sum, layer) / static_cast<double>(row.size());
    peak += *std::max_element(row.begin(), row.end()) / mean;
  }
  return peak / static_cast<double>(sum.rows());
}

double gini_of(std::span<const double> loads) {
  std::vector<double> sorted(loads.begin(), loads.end());
  std::sort(sorted.begin(), sorted.end());
  double weighted = 0;
  double total = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    weighted += static_cast<double>(i + 1) * sorted[i];
    total += sorted[i];
  }
  const auto n = static_cast<double>(sorted.size());
  return 2 * weighted / (n * total) - (n + 1) / n;
}

double mean_gini(const LoadMatrix& load) {
  double gini = 0;
  for (const LayerId layer : load.row_ids()) gini += gini_of(load.row(layer));
  return gini / static_cast<double>(load.rows());
}

/// Rank max/mean of the contiguous placement without replicas, mean over layers.
double contiguous_imbalance(const LoadMatrix& load, std::size_t ranks) {
  double imbalance = 0;
  for (const LayerId layer : load.row_ids()) {
    const auto row = load.row(layer);
    const std::size_t size = row.size() / ranks;
    double largest = 0;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const auto part = row.subspan(rank * size, size);
      largest = std::max(largest, std::accumulate(part.begin(), part.end(), 0.0));
    }
    imbalance += largest / (layer_total(load, layer) / static_cast<double>(ranks));
  }
  return imbalance / static_cast<double>(load.rows());
}

double correlation(std::span<const double> a, std::span<const double> b) {
  const auto n = static_cast<double>(a.size());
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / n;
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / n;
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return ab / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("every layer sums to tokens times top-k and no expert exceeds the tokens") {
  for (const SyntheticPreset& preset : synthetic_presets()) {
    SyntheticOptions options = preset.options;
    INFO("preset " << preset.name);
    options.num_layers = 6;
    options.tokens_per_step = 64;
    options.dispersion = 5;
    options.sigma_mean *= 2;
    for (const LoadMatrix& load : loads_of(options)) {
      for (const LayerId layer : load.row_ids()) {
        const auto row = load.row(layer);
        REQUIRE(layer_total(load, layer) == 64.0 * static_cast<double>(options.top_k));
        REQUIRE(*std::max_element(row.begin(), row.end()) <= 64);
        REQUIRE(*std::min_element(row.begin(), row.end()) >= 0);
      }
    }
  }
}

TEST_CASE("when every expert takes every token there is nothing random left") {
  SyntheticOptions options;
  options.num_layers = 2;
  options.num_experts = options.top_k = 4;
  options.num_expert_groups = 2;
  options.tokens_per_step = 10;
  options.num_steps = 3;
  for (const LoadMatrix& load : loads_of(options)) {
    for (const double tokens : load.items()) CHECK(tokens == 10);
  }
}

TEST_CASE("a layer does not depend on how many layers there are") {
  SyntheticOptions options;
  options.num_layers = 3;
  options.num_steps = 4;
  options.domain_changes = {2};
  const auto few = loads_of(options);
  options.num_layers = 5;
  const auto many = loads_of(options);
  for (std::size_t t = 0; t < few.size(); ++t) {
    for (const LayerId layer : few[t].row_ids()) {
      CHECK(std::ranges::equal(few[t].row(layer), many[t].row(layer)));
    }
  }
}

TEST_CASE("seeds repeat and differ") {
  SyntheticOptions options;
  options.num_layers = 2;
  options.num_steps = 2;
  const auto first = loads_of(options);
  CHECK(loads_of(options) == first);
  options.seed = 1;
  CHECK_FALSE(loads_of(options) == first);
}

TEST_CASE("presets resemble the recordings that they were fitted to") {
  // measured values and the fitted generator's own: traces/README.md
  struct Expected {
    std::string_view preset;
    double peak;
    double gini;
    double ep8;
    double ep32;
  };
  for (const Expected& expected : {Expected{"prefill", 6.07, 0.377, 1.70, 2.20},
                                   Expected{"prefill-long", 7.95, 0.446, 2.20, 2.87},
                                   Expected{"decode", 5.20, 0.350, 2.07, 2.47}}) {
    INFO("preset " << expected.preset);
    SyntheticOptions options = synthetic_preset(expected.preset);
    options.num_layers = 232;
    options.num_steps = 1;
    options.tokens_per_step = 1'000'000;
    const auto loads = loads_of(options);
    CHECK(peak_of(loads) == Approx(expected.peak).epsilon(0.1));
    CHECK(mean_gini(loads[0]) == Approx(expected.gini).epsilon(0.06));
    CHECK(contiguous_imbalance(loads[0], 8) == Approx(expected.ep8).epsilon(0.08));
    CHECK(contiguous_imbalance(loads[0], 32) == Approx(expected.ep32).epsilon(0.08));
  }
}

TEST_CASE("the gpt-oss preset resembles its recording") {
  SyntheticOptions options = synthetic_preset("gpt-oss");
  options.num_layers = 96;
  options.num_steps = 1;
  options.tokens_per_step = 1'000'000;
  const auto loads = loads_of(options);
  // the gamma fit of this recording overrates its hottest expert by 1.19
  CHECK(peak_of(loads) == Approx(2.61 * 1.19).epsilon(0.08));
  CHECK(mean_gini(loads[0]) == Approx(0.405).epsilon(0.1));
}

TEST_CASE("log loads correlate over time as the header comment says") {
  SyntheticOptions options;
  options.num_layers = 40;
  options.num_steps = 17;
  options.tokens_per_step = 1'000'000;
  options.dispersion = 1;
  options.drift = 0.6;
  options.persistence = 0.9;
  const auto loads = loads_of(options);
  for (const std::size_t lag : {1U, 16U}) {
    double mean = 0;
    for (const LayerId layer : loads[0].row_ids()) {
      std::vector<double> a;
      std::vector<double> b;
      for (const double x : loads[0].row(layer)) a.push_back(std::log(x + 1));
      for (const double x : loads[lag].row(layer)) b.push_back(std::log(x + 1));
      mean += correlation(a, b) / 40;
    }
    const double expected =
        1 - options.drift * options.drift * (1 - std::pow(options.persistence, lag));
    CHECK(mean == Approx(expected).margin(0.02));
  }
}

TEST_CASE("a domain change is an abrupt one") {
  SyntheticOptions options;
  options.num_layers = 20;
  options.num_steps = 4;
  options.tokens_per_step = 100'000;
  options.domain_changes = {2};
  options.domain_correlation = 0;
  const auto loads = loads_of(options);
  const auto mean_correlation = [&](std::size_t a, std::size_t b) {
    double mean = 0;
    for (const LayerId layer : loads[0].row_ids()) {
      mean += correlation(loads[a].row(layer), loads[b].row(layer)) / 20;
    }
    return mean;
  };
  CHECK(mean_correlation(0, 1) > 0.9);
  CHECK(mean_correlation(2, 3) > 0.9);
  CHECK(mean_correlation(1, 2) < 0.4);
}

TEST_CASE("options that make no sense are refused") {
  const auto refused = [](auto change) {
    SyntheticOptions options;
    change(options);
    CHECK_THROWS_AS(make_synthetic_trace(options), InputError);
  };
  refused([](SyntheticOptions& o) { o.top_k = 0; });
  refused([](SyntheticOptions& o) { o.top_k = 257; });
  refused([](SyntheticOptions& o) { o.num_expert_groups = 7; });
  refused([](SyntheticOptions& o) { o.num_layers = 0; });
  refused([](SyntheticOptions& o) { o.tokens_per_step = 0; });
  refused([](SyntheticOptions& o) { o.rho = 1.5; });
  refused([](SyntheticOptions& o) { o.sigma_mean = std::nan(""); });
  refused([](SyntheticOptions& o) { o.dispersion = 0.5; });
  refused([](SyntheticOptions& o) { o.dispersion = 1e9; });
  refused([](SyntheticOptions& o) { o.drift = -0.1; });
  CHECK_THROWS_AS(synthetic_preset("prefil"), InputError);
}

TEST_CASE("the shipped traces are what their README says, byte for byte") {
  SyntheticOptions prefill = synthetic_preset("prefill");
  prefill.tokens_per_step = 8192;
  prefill.domain_changes = {4};
  prefill.domain_correlation = 0.7;
  prefill.seed = 1;
  SyntheticOptions decode = synthetic_preset("decode");
  decode.num_layers = 24;
  decode.num_experts = 64;
  decode.top_k = 6;
  decode.num_expert_groups = 1;
  decode.rho = 0;
  decode.num_steps = 40;
  decode.tokens_per_step = 1024;
  decode.seed = 2;
  for (const auto& [file, options] :
       {std::pair{"deepseek_like_prefill", prefill}, std::pair{"moe64_like_decode", decode}}) {
    INFO(file);
    std::ifstream in(test::source_path("traces") / (std::string(file) + ".jsonl"));
    std::stringstream shipped;
    shipped << in.rdbuf();
    const auto trace = make_synthetic_trace(options);
    std::ostringstream made;
    const auto writer = trace_format("neutral").create(made, trace->header());
    TraceStep step;
    while (trace->next(step)) writer->write(step);
    writer->finish();
    CHECK((made.str() == shipped.str()));
  }
}
