// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/handshake.hpp"

#include <cstring>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kMagic = "MSHFTv2\n";  // refuses strangers who connect by mistake
static_assert(kMagic.size() + sizeof(Nonce) == AnswerOfRank::kChallengeBytes);

constexpr std::size_t kRankBytes = 4;
constexpr std::size_t kAnswerBytes = kRankBytes + sizeof(Nonce) + AnswerOfRank::kProofBytes;

/// Little endian, so that machines of any kind may meet.
void put(std::string& bytes, std::uint64_t number, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    bytes += static_cast<char>(number >> (8 * i) & 0xffU);
  }
}

std::uint32_t rank_in(std::string_view bytes) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < kRankBytes; ++i) {
    number |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return number;
}

std::string proof_of(std::string_view who, const Secret& secret, std::string_view leader,
                     std::string_view rank, std::uint32_t number) {
  std::string text(who);
  text += leader;
  text += rank;
  put(text, number, kRankBytes);
  put(text, secret.world, 8);
  std::string proof(AnswerOfRank::kProofBytes, '\0');
  unsigned int length = 0;
  const auto* mac = HMAC(EVP_sha256(), secret.token.data(), static_cast<int>(secret.token.size()),
                         reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                         reinterpret_cast<unsigned char*>(proof.data()), &length);
  MOESHIFT_CHECK(mac != nullptr && length == proof.size());
  return proof;
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view view(const Nonce& nonce) {
  return {nonce.data(), nonce.size()};
}

}  // namespace

Nonce make_nonce() {
  Nonce nonce{};
  if (getrandom(nonce.data(), nonce.size(), 0) != static_cast<ssize_t>(nonce.size())) {
    throw DeviceError("the system gives no random numbers");
  }
  return nonce;
}

std::string random_word() {
  const Nonce nonce = make_nonce();
  std::string word;
  for (const char c : view(nonce).substr(0, 16)) {
    word += fmt::format("{:02x}", static_cast<unsigned char>(c));
  }
  return word;
}

ChallengeOfLeader::ChallengeOfLeader(const Secret& secret) : secret_(secret), ours_(make_nonce()) {}

std::string ChallengeOfLeader::challenge() const {
  return std::string(kMagic) + std::string(view(ours_));
}

std::size_t ChallengeOfLeader::missing() const {
  return answer_.size() < kAnswerBytes ? kAnswerBytes - answer_.size() : 0;
}

std::optional<RankId> ChallengeOfLeader::rank() const {
  if (answer_.size() != kAnswerBytes) return std::nullopt;
  const std::string_view answer = answer_;
  const std::uint32_t number = rank_in(answer);
  const std::string_view theirs = answer.substr(kRankBytes, sizeof(Nonce));
  const std::string_view proof = answer.substr(kRankBytes + sizeof(Nonce));
  const std::string right = proof_of("moeshift rank", secret_, view(ours_), theirs, number);
  if (!equal(proof, right)) return std::nullopt;
  if (number == 0 || number >= secret_.world) return std::nullopt;
  return RankId(number);
}

std::string ChallengeOfLeader::proof() const {
  const std::string_view theirs = std::string_view(answer_).substr(kRankBytes, sizeof(Nonce));
  return proof_of("moeshift lead", secret_, view(ours_), theirs, rank_in(answer_));
}

AnswerOfRank::AnswerOfRank(const Secret& secret, RankId rank)
    : secret_(secret), rank_(rank), ours_(make_nonce()) {}

std::optional<std::string> AnswerOfRank::answer(std::string_view challenge) {
  if (challenge.size() != kChallengeBytes || !challenge.starts_with(kMagic)) return std::nullopt;
  theirs_ = challenge.substr(kMagic.size());
  std::string answer;
  put(answer, rank_.value(), kRankBytes);
  answer += view(ours_);
  return answer + proof_of("moeshift rank", secret_, theirs_, view(ours_), rank_.value());
}

bool AnswerOfRank::is_proof(std::string_view proof) const {
  return equal(proof, proof_of("moeshift lead", secret_, theirs_, view(ours_), rank_.value()));
}

}  // namespace moeshift
