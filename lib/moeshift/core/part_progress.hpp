// SPDX-License-Identifier: Apache-2.0
// Several calls, one after another or at once, as the parts of one piece of work.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/core/progress.hpp"

namespace moeshift {

/// Equal parts of what is told to `whole` as "what". Each part's share grows as its callee tells,
/// whatever that calls it; a callee that is called several times makes parts of its own.
class PartProgress {
 public:
  /// @param count at least 1.
  PartProgress(Progress& whole, std::string what, std::size_t count)
      : whole_(whole), what_(std::move(what)), shares_(count, 0) {
    for (std::size_t i = 0; i < count; ++i) parts_.push_back(std::make_unique<Part>(*this, i));
  }

  /// What the callee of part `i` is given.
  [[nodiscard]] Progress& part(std::size_t i) { return *parts_[i]; }
  /// Part `i` is over, whether or not its callee ever told anything.
  void finish(std::size_t i) { tell(i, kWhole); }

 private:
  static constexpr std::uint64_t kWhole = 1000;

  class Part final : public Progress {
   public:
    Part(PartProgress& all, std::size_t index) : all_(all), index_(index) {}
    void update(std::string_view /*what*/, std::uint64_t done, std::uint64_t total) override {
      all_.tell(index_, total == 0 ? 0 : kWhole * std::min(done, total) / total);
    }
    [[nodiscard]] bool interrupted() const override { return all_.whole_.interrupted(); }

   private:
    PartProgress& all_;
    std::size_t index_;
  };

  void tell(std::size_t part, std::uint64_t share) {
    std::uint64_t sum = 0;
    {
      const std::scoped_lock lock(mutex_);
      const std::uint64_t before = std::exchange(shares_[part], std::max(shares_[part], share));
      sum_ += shares_[part] - before;
      sum = sum_;
    }
    whole_.update(what_, sum, kWhole * shares_.size());
  }

  Progress& whole_;
  std::string what_;
  std::mutex mutex_;
  std::vector<std::uint64_t> shares_;  ///< of kWhole
  std::uint64_t sum_ = 0;
  std::vector<std::unique_ptr<Part>> parts_;
};

}  // namespace moeshift
