// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/calibrate_report.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

bool is_time(const FittedTerm& term) {
  return term.name == "launch" || term.name == "latency" || term.name.ends_with("per_message");
}

Cell figure(const FittedTerm& term, double value) {
  return is_time(term) ? Cell::seconds(Seconds(value)) : Cell::rate(BytesPerSecond(value));
}

void add_term(Table& table, const std::string& prefix, const FittedTerm& term) {
  const bool known = term.reached;
  table.rows.push_back({Cell::text(prefix + term.name), figure(term, term.value),
                        known ? figure(term, term.low) : Cell::empty(),
                        known ? figure(term, term.high) : Cell::empty(), Cell::count(term.rows),
                        Cell::text(known ? "" : "at least: limits nothing here")});
}

double at_share(const std::vector<double>& sorted, std::size_t percent) {
  return sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
}

}  // namespace

Json exchanges_json(const std::vector<ExchangeSample>& samples) {
  Json rows = Json::array();
  for (const ExchangeSample& sample : samples) {
    Json messages = Json::array();
    for (const ProbeMessage& m : sample.messages) {
      messages.push_back({m.source.value(), m.destination.value(), m.bytes.count()});
    }
    Json times = Json::array();
    for (const Seconds time : sample.times) times.push_back(time.count());
    rows.push_back({{"pattern", sample.pattern}, {"messages", messages}, {"seconds", times}});
  }
  return rows;
}

Json terms_json(const std::vector<FittedTerm>& terms) {
  Json json;
  for (const FittedTerm& term : terms) {
    json[term.name] = {{"value", term.value},
                       {"low", term.low},
                       {"high", term.high},
                       {"rows", term.rows},
                       {"reached", term.reached}};
  }
  return json;
}

Json validation_json(const Validation& validation) {
  return {{"median_relative_error", validation.median_error},
          {"p95_relative_error", validation.p95_error},
          {"plans", validation.relative_errors.size()}};
}

Table terms_table(const std::vector<LinkCalibration>& links, const CopyCalibration& copies,
                  const CopyCalibration& together) {
  Table table{"", {"term", "value", "95 % from", "to", "exchanges", ""}, {}};
  for (const LinkCalibration& link : links) {
    const std::string prefix = links.size() == 1 ? "" : std::string(name_of(link.link)) + " ";
    for (const FittedTerm& term : link.fit.terms) add_term(table, prefix, term);
  }
  for (const FittedTerm& term : copies.terms) add_term(table, "local copy ", term);
  for (const FittedTerm& term : together.terms) add_term(table, "copy on all ranks ", term);
  return table;
}

Chart agreement_chart(std::string title, const std::vector<std::string>& names,
                      const std::vector<Seconds>& predicted, const std::vector<Seconds>& measured) {
  Chart chart{.title = std::move(title),
              .draw = Draw::kScatter,
              .data = {"", {"exchange", "measured", "predicted"}, {}},
              .x = "measured",
              .y = "predicted"};
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    chart.data.rows.push_back(
        {Cell::text(names[i]), Cell::seconds(measured[i]), Cell::seconds(predicted[i])});
  }
  return chart;
}

Chart fit_chart(const std::vector<LinkCalibration>& links) {
  std::vector<std::string> names;
  std::vector<Seconds> predicted;
  std::vector<Seconds> measured;
  for (const LinkCalibration& link : links) {
    for (std::size_t i = 0; i < link.samples.size(); ++i) {
      names.push_back(fmt::format("{}, {}", link.samples[i].pattern, name_of(link.link)));
      measured.push_back(undisturbed(link.samples[i].times));
      predicted.push_back(measured.back() * (1 + link.fit.relative_errors[i]));
    }
  }
  return agreement_chart("The fit: predicted against measured", names, predicted, measured);
}

Chart errors_chart(const std::vector<LinkCalibration>& links) {
  Chart chart{.title = "Errors of the fit, exchange by exchange",
              .draw = Draw::kBars,
              .data = {"", {"exchange", "predicted / measured - 1"}, {}},
              .x = "exchange",
              .y = "error"};
  for (const LinkCalibration& link : links) {
    for (std::size_t i = 0; i < link.samples.size(); ++i) {
      chart.data.rows.push_back({Cell::text(fmt::format("{} {}", link.samples[i].pattern, i)),
                                 Cell::percent(link.fit.relative_errors[i])});
    }
  }
  return chart;
}

Table residuals_table(const std::vector<LinkCalibration>& links) {
  Table table{"residuals", {"link", "pattern", "exchanges", "median error", "worst"}, {}};
  for (const LinkCalibration& link : links) {
    std::map<std::string, std::vector<double>> errors;
    for (std::size_t i = 0; i < link.samples.size(); ++i) {
      errors[link.samples[i].pattern].push_back(std::abs(link.fit.relative_errors[i]));
    }
    for (auto& [pattern, sizes] : errors) {
      std::sort(sizes.begin(), sizes.end());
      table.rows.push_back({Cell::text(std::string(name_of(link.link))), Cell::text(pattern),
                            Cell::count(sizes.size()), Cell::percent(at_share(sizes, 50)),
                            Cell::percent(sizes.back())});
    }
  }
  return table;
}

Json links_json(const std::vector<LinkCalibration>& links) {
  Json json = Json::object();
  for (const LinkCalibration& link : links) {
    json[std::string(name_of(link.link))] = {{"terms", terms_json(link.fit.terms)},
                                             {"exchanges", link.samples.size()},
                                             {"median_relative_error", link.fit.median_error},
                                             {"p95_relative_error", link.fit.p95_error},
                                             {"misfits", link.fit.misfits}};
  }
  return json;
}

}  // namespace moeshift::cli
