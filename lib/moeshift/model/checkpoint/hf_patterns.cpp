// SPDX-License-Identifier: Apache-2.0
// How quantisers name modules: by name, by wildcard, by regular expression.
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "moeshift/model/checkpoint/hf_parts.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kRegexMark = "re:";

/// The number after `word`, where the name or the regular expression can mean no other: "layers.3."
/// and "layers\.3\.", not "layers.1*" nor, as a regular expression, "layers.3.".
std::optional<std::int64_t> number_after(const std::string& name, std::string_view word) {
  std::size_t at = name.find(word);
  if (at == std::string::npos) return {};
  at += word.size();
  while (at < name.size() && (name[at] == '\\' || name[at] == '.')) ++at;
  std::int64_t number = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + at, end, number);
  if (error != std::errc()) return {};
  const std::string_view rest(stop, static_cast<std::size_t>(end - stop));
  const bool whole =
      name.starts_with(kRegexMark) ? rest.starts_with("\\.") : rest.empty() || rest.front() == '.';
  return whole ? std::optional(number) : std::nullopt;
}

/// What checkpoints call the projection: "w1" in Mixtral.
std::vector<std::string_view> aliases(std::string_view projection) {
  if (projection == "gate_proj") return {"gate_proj", "w1", "gate_up_proj"};
  if (projection == "up_proj") return {"up_proj", "w3", "gate_up_proj"};
  if (projection == "gate_up_proj") return {"gate_up_proj", "gate_proj", "w1"};
  return {"down_proj", "w2"};
}

/// What checkpoints call a layer.
std::vector<std::string> prefixes_of(std::int64_t layer, std::optional<std::int64_t> draft) {
  std::vector<std::string> prefixes;
  for (const char* layers : {"model.layers", "backbone.layers", "model.language_model.layers",
                             "language_model.model.layers"}) {
    prefixes.push_back(fmt::format("{}.{}", layers, layer));
  }
  if (!draft) return prefixes;
  prefixes.push_back(fmt::format("model.layers.{}.mtp_block", layer));
  for (const char* layers : {"mtp.layers", "model.mtp.layers", "language_model.mtp.layers"}) {
    prefixes.push_back(fmt::format("{}.{}", layers, *draft));
  }
  return prefixes;
}

/// One expert that is named stands for all, as in vLLM (quant_utils.py, is_layer_skipped).
std::string of_first_expert(std::string expression) {
  constexpr std::string_view kExperts = R"(experts\.)";
  const std::size_t at = expression.find(kExperts);
  if (at == std::string::npos) return expression;
  const std::size_t first = at + kExperts.size();
  const std::size_t end =
      std::min(expression.find_first_not_of("0123456789", first), expression.size());
  if (end > first) expression.replace(first, end - first, "0");
  return expression;
}

/// "mtp.layers.0", whose number counts draft layers alone; "mtp" as one word of several is none.
bool is_of_drafts(const std::string& text) {
  if (text.find('|') != std::string::npos) return false;
  const std::size_t at = text.find("mtp");
  if (at == std::string::npos || text.find("mtp_block") != std::string::npos) return false;
  return text.find("layers", at) != std::string::npos || text.find("layers") == std::string::npos;
}

void add_plain(char c, std::string& regex) {
  if (std::string_view(R"(.\+*?^$(){}|[]-/)").find(c) != std::string_view::npos) regex += '\\';
  regex += c;
}

/// The class that begins at `at` ("[34]", "[!3-5]"), added to `regex`; how long it is, 0 where
/// nothing ends it and the bracket means itself (fnmatch.translate).
std::size_t add_class(std::string_view wildcard, std::size_t at, std::string& regex) {
  std::size_t begin = at + 1;
  const bool inverse = begin < wildcard.size() && wildcard[begin] == '!';
  if (inverse) ++begin;
  // Right after the opening one, a closing bracket is a member.
  const std::size_t end = wildcard.find(']', begin + 1);
  if (end == std::string_view::npos) return 0;
  std::string members;
  for (std::size_t i = begin; i < end; ++i) {
    const bool range = i + 2 < end && wildcard[i + 1] == '-';
    if (!range) {
      add_plain(wildcard[i], members);
      continue;
    }
    if (wildcard[i] <= wildcard[i + 2]) {  // else Python takes it for empty
      add_plain(wildcard[i], members);
      members += '-';
      add_plain(wildcard[i + 2], members);
    }
    i += 2;
  }
  if (members.empty()) {
    regex += inverse ? "." : "(?!)";
  } else {
    regex += fmt::format("[{}{}]", inverse ? "^" : "", members);
  }
  return end + 1 - at;
}

/// A wildcard as Python's fnmatch reads it, as a regular expression; what lies within is meant too.
std::string regex_of_wildcard(const std::string& wildcard) {
  std::string regex;
  for (std::size_t i = 0; i < wildcard.size(); ++i) {
    const char c = wildcard[i];
    const std::size_t length = c == '[' ? add_class(wildcard, i, regex) : 0;
    if (length > 0) {
      i += length - 1;
    } else if (c == '*') {
      regex += ".*";
    } else if (c == '?') {
      regex += '.';
    } else {
      add_plain(c, regex);
    }
  }
  return regex + R"((\..*)?$)";
}

}  // namespace

const std::vector<std::string>& ExpertNames::of(std::int64_t layer, std::string_view projection) {
  const auto [found, is_new] = names_.try_emplace({layer, projection});
  std::vector<std::string>& names = found->second;
  if (!is_new) return names;
  for (const std::string& prefix : prefixes_of(layer, draft(layer))) {
    for (const char* block : {"mlp", "block_sparse_moe", "mixer", "feed_forward"}) {
      const std::string experts = fmt::format("{}.{}.experts", prefix, block);
      names.push_back(experts);
      for (const std::string_view alias : aliases(projection)) {
        names.push_back(fmt::format("{}.0.{}", experts, alias));
      }
    }
  }
  return names;
}

std::optional<std::int64_t> ExpertNames::draft(std::int64_t layer) const {
  return layer >= layers_ ? std::optional(layer - layers_) : std::nullopt;
}

bool is_about_experts(const std::string& name) {
  return name.find("experts") != std::string::npos &&
         name.find("shared_expert") == std::string::npos;
}

std::optional<std::int64_t> layer_in(const std::string& name) {
  return number_after(name, "layers");
}

bool is_projection(std::string_view name, std::string_view projection) {
  const auto own = aliases(projection);
  return std::find(own.begin(), own.end(), name) != own.end();
}

ModulePattern::ModulePattern(std::string text) : text_(std::move(text)) {
  of_drafts_ = is_of_drafts(text_);
  if (text_.find('|') == std::string::npos) (of_drafts_ ? draft_ : layer_) = layer_in(text_);
  if (text_.starts_with(kRegexMark)) {
    compile(of_first_expert(text_.substr(kRegexMark.size())));
  } else if (text_.find_first_of("*?[") != std::string::npos) {
    compile(regex_of_wildcard(text_));
  }
}

ModulePattern ModulePattern::regex(const std::string& expression) {
  return ModulePattern(std::string(kRegexMark) + expression);
}

void ModulePattern::compile(const std::string& expression) {
  constexpr std::size_t kLongest = 4096;  // std::regex recurses: longer ones could use up the stack
  if (expression.size() > kLongest) {
    readable_ = false;
    return;
  }
  try {
    regex_.emplace(expression, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error&) {
    readable_ = false;
  }
}

bool ModulePattern::tells_layers_apart() const {
  return text_.find("mtp") != std::string::npos || text_.find("layers") != std::string::npos ||
         text_.find("\\d") != std::string::npos ||
         text_.find_first_of("0123456789") != std::string::npos;
}

bool ModulePattern::covers(ExpertNames& names, std::int64_t layer,
                           std::string_view projection) const {
  if (layer_ && *layer_ != layer) return false;
  if (of_drafts_ && !names.draft(layer)) return false;
  if (draft_ && draft_ != names.draft(layer)) return false;
  if (!readable_) return is_about_experts(text_);
  // As of_first_expert.
  if (!regex_ && text_.find(".experts.") != std::string::npos) return true;
  const std::vector<std::string>& all = names.of(layer, projection);
  if (regex_) {
    return std::ranges::any_of(all, [&](const std::string& name) {
      return std::regex_search(name, *regex_, std::regex_constants::match_continuous);
    });
  }
  const std::string part = "." + text_ + (text_.ends_with('.') ? "" : ".");
  return std::ranges::any_of(all, [&](const std::string& name) {
    return ("." + name + ".").find(part) != std::string::npos;
  });
}

}  // namespace moeshift
