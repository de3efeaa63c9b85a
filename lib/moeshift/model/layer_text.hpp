// SPDX-License-Identifier: Apache-2.0
// Sentences about layers, written where only their positions are known and read where the model's
// own numbers are.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/core/ids.hpp"

namespace moeshift {

/// A text with layers in it.
class LayerText {
 public:
  LayerText& operator<<(std::string_view words) {
    tail_ += words;
    return *this;
  }
  LayerText& operator<<(LayerId layer) {
    parts_.emplace_back(std::exchange(tail_, {}), layer);
    return *this;
  }
  LayerText& operator<<(const LayerText& other) {
    for (const auto& [words, layer] : other.parts_) *this << words << layer;
    return *this << other.tail_;
  }
  [[nodiscard]] bool empty() const { return parts_.empty() && tail_.empty(); }

  /// The text, layers by their numbers `ids` in the model; by position where those are not known.
  [[nodiscard]] std::string with(std::span<const std::int64_t> ids = {}) const {
    std::string text;
    for (const auto& [words, layer] : parts_) {
      text += words;
      text += layer.index() < ids.size() ? std::to_string(ids[layer.index()])
                                         : std::to_string(layer.value());
    }
    return text + tail_;
  }

 private:
  std::vector<std::pair<std::string, LayerId>> parts_;
  std::string tail_;
};

/// An error that speaks of layers: what() has their positions, text() lets the caller name them.
template <class Error>
class OfLayers final : public Error {
 public:
  explicit OfLayers(LayerText text) : Error(base(text)), text_(std::move(text)) {}

  [[nodiscard]] const LayerText& text() const { return text_; }

 private:
  static Error base(const LayerText& text) {
    if constexpr (std::is_same_v<Error, InputError>) {
      return InputError("", text.with());
    } else {
      return Error(text.with());
    }
  }

  LayerText text_;
};

using LayerInputError = OfLayers<InputError>;
using LayerInfeasibleError = OfLayers<InfeasibleError>;

}  // namespace moeshift
