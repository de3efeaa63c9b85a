// SPDX-License-Identifier: Apache-2.0
// How a rank and rank 0 show each other that they know the run's token, without saying it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "moeshift/core/ids.hpp"

namespace moeshift {

/// 32 bytes that nobody can guess. @throws DeviceError when the system has none.
using Nonce = std::array<char, 32>;
[[nodiscard]] Nonce make_nonce();
/// 128 random bits in hexadecimal digits: the token of a run that our side starts, or a name.
[[nodiscard]] std::string random_word();

/// What both sides have to know.
struct Secret {
  std::string token;  ///< may be empty where the system says who the peer is
  std::size_t world = 1;
};

/// Three messages of fixed length: rank 0 sends a challenge; the rank answers with its number, a
/// challenge of its own and a proof; rank 0 answers with its proof. A proof is the HMAC-SHA-256,
/// keyed with the token, of who proves, both challenges, the rank and the size of the world: one
/// that was overheard is good for nothing, and a false rank 0 learns nothing. (The scheme is the
/// mutual challenge and response of ISO/IEC 9798-4, section 7.2.)
///
/// Rank 0's side of one connection: a machine without a socket.
class ChallengeOfLeader {
 public:
  explicit ChallengeOfLeader(const Secret& secret);

  /// To be sent first.
  [[nodiscard]] std::string challenge() const;
  /// Bytes that the answer has still to have.
  [[nodiscard]] std::size_t missing() const;
  void add(std::string_view bytes) { answer_ += bytes; }
  /// Once nothing is missing: who it is, if the proof is right. Takes the same time whatever is
  /// wrong with it.
  [[nodiscard]] std::optional<RankId> rank() const;
  /// To be sent to who proved himself.
  [[nodiscard]] std::string proof() const;

 private:
  const Secret& secret_;
  Nonce ours_;
  std::string answer_;
};

/// The rank's side.
class AnswerOfRank {
 public:
  AnswerOfRank(const Secret& secret, RankId rank);

  static constexpr std::size_t kChallengeBytes = 8 + sizeof(Nonce);
  static constexpr std::size_t kProofBytes = 32;

  /// The answer to a challenge; nothing when it is none of ours.
  [[nodiscard]] std::optional<std::string> answer(std::string_view challenge);
  /// Whether rank 0 knows the token, too.
  [[nodiscard]] bool is_proof(std::string_view proof) const;

 private:
  const Secret& secret_;
  RankId rank_;
  Nonce ours_;
  std::string theirs_;
};

}  // namespace moeshift
