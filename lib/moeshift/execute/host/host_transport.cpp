// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/host/host_transport.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kPiece = std::int64_t{4} << 20;  // as in host_memory.cpp

struct Receive {
  RankId from;
  std::uint64_t index = 0;  ///< of the message between the two
  std::byte* pointer = nullptr;
  Bytes bytes;
  std::shared_ptr<Offer> offer;
  std::int64_t done = 0;
};

struct Send {
  RankId to;
  std::shared_ptr<Offer> offer;
};

class HostExchange final : public Pending {
 public:
  HostExchange(std::shared_ptr<ThreadHub> hub, std::shared_ptr<HostMailboxes> mail, RankId self,
               std::shared_ptr<std::atomic<bool>> aborted, std::vector<Send> sends,
               std::vector<Receive> receives)
      : hub_(std::move(hub)),
        mail_(std::move(mail)),
        self_(self),
        aborted_(std::move(aborted)),
        sends_(std::move(sends)),
        receives_(std::move(receives)) {}

  bool poll() override {
    if (*aborted_) throw DeviceError("the host transport was aborted");
    std::int64_t budget = kPiece;
    for (Receive& receive : receives_) {
      if (budget <= 0) break;
      budget -= advance(receive);
    }
    std::erase_if(receives_, [](const Receive& r) { return r.done == r.bytes.count(); });
    std::erase_if(sends_,
                  [](const Send& s) { return s.offer->taken.load(std::memory_order_acquire); });
    return receives_.empty() && sends_.empty();
  }

  std::vector<RankId> waiting_for() const override {
    std::vector<RankId> ranks;
    for (const Receive& receive : receives_) ranks.push_back(receive.from);
    if (ranks.empty()) {
      for (const Send& send : sends_) ranks.push_back(send.to);
    }
    std::ranges::sort(ranks);
    return ranks;
  }

 private:
  std::int64_t advance(Receive& receive) {
    if (!receive.offer) receive.offer = mail_->take(receive.from, self_, receive.index);
    if (!receive.offer) return 0;
    const Offer& offer = *receive.offer;
    if (offer.bytes != receive.bytes) {
      throw DeviceError(fmt::format("rank {} sent {} bytes where {} were expected",
                                    receive.from.value(), offer.bytes.count(),
                                    receive.bytes.count()));
    }
    const std::int64_t piece = std::min(kPiece, receive.bytes.count() - receive.done);
    std::memcpy(receive.pointer + receive.done, offer.pointer + receive.done,
                static_cast<std::size_t>(piece));
    receive.done += piece;
    if (receive.done == receive.bytes.count()) {
      receive.offer->taken.store(true, std::memory_order_release);
      hub_->ring(receive.from);
    }
    return piece;
  }

  std::shared_ptr<ThreadHub> hub_;
  std::shared_ptr<HostMailboxes> mail_;
  RankId self_;
  std::shared_ptr<std::atomic<bool>> aborted_;
  std::vector<Send> sends_;
  std::vector<Receive> receives_;
};

}  // namespace

void HostMailboxes::post(RankId from, RankId to, std::shared_ptr<Offer> offer) {
  Box& target = box(from, to);
  const std::lock_guard lock(target.mutex);
  target.offers.push_back(std::move(offer));
}

std::shared_ptr<Offer> HostMailboxes::take(RankId from, RankId to, std::uint64_t index) {
  Box& source = box(from, to);
  const std::lock_guard lock(source.mutex);
  const std::uint64_t position = index - source.first;
  if (position >= source.offers.size()) return nullptr;
  std::shared_ptr<Offer> offer = std::move(source.offers[position]);
  while (!source.offers.empty() && !source.offers.front()) {
    source.offers.pop_front();
    ++source.first;
  }
  return offer;
}

HostTransport::HostTransport(std::shared_ptr<ThreadHub> hub, std::shared_ptr<HostMailboxes> mail,
                             RankId self)
    : hub_(std::move(hub)),
      mail_(std::move(mail)),
      self_(self),
      aborted_(std::make_shared<std::atomic<bool>>(false)),
      received_(hub_->size(), 0) {}

std::unique_ptr<Pending> HostTransport::exchange(std::span<const Message> messages) {
  std::vector<Send> sends;
  std::vector<Receive> receives;
  for (const Message& message : messages) {
    if (message.direction == Direction::kReceive) {
      receives.push_back(
          {message.peer, received_[message.peer]++, message.pointer, message.bytes, nullptr, 0});
      continue;
    }
    auto offer = std::make_shared<Offer>();
    offer->pointer = message.pointer;
    offer->bytes = message.bytes;
    mail_->post(self_, message.peer, offer);
    hub_->ring(message.peer);
    sends.push_back({message.peer, std::move(offer)});
  }
  return std::make_unique<HostExchange>(hub_, mail_, self_, aborted_, std::move(sends),
                                        std::move(receives));
}

}  // namespace moeshift
