// SPDX-License-Identifier: Apache-2.0
// Unfolds in a thread of its own, ahead of who parses. Internal to formats/.
#pragma once

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <memory>

#include "moeshift/formats/bytes/decoder.hpp"

namespace moeshift {

/// Makes the decoder that works in the thread; it reads what the caller of AheadDecoder hands over.
using MakeDecoder = std::function<std::unique_ptr<Decoder>(std::istream& packed)>;

/// Whatever a decoder unfolds to, at most 4 MiB ahead. `in` is only read by the thread that calls
/// read(), since streams tell progress and are interrupted there.
///
/// Invariant: unfolded blocks come in order, an error after all that was unfolded before it.
class AheadDecoder final : public Decoder {
 public:
  /// @throws std::system_error when there are no more threads.
  AheadDecoder(std::istream& in, const MakeDecoder& make);
  ~AheadDecoder() override;

  std::size_t read(char* to, std::size_t count) override;

 private:
  struct Shared;

  void hand_over();

  std::istream& in_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace moeshift
