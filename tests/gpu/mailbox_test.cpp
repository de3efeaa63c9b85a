// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/peer/mailbox.hpp"

#include <chrono>
#include <thread>

#include "moeshift/execute/world/thread_hub.hpp"

#include "tests/support/catch.hpp"

namespace moeshift {
namespace {

void with_two_ranks(const std::function<void(Mailbox&)>& zero,
                    const std::function<void(Mailbox&)>& one) {
  const auto hub = std::make_shared<ThreadHub>(2);
  const auto run = [&](RankId rank, const std::function<void(Mailbox&)>& body) {
    ThreadControl control(hub, rank);
    Mailbox mailbox(control, Deadline::in(Seconds(20.0)));
    body(mailbox);
  };
  std::jthread other([&] { run(RankId(1), one); });
  run(RankId(0), zero);
}

TEST_CASE("messages of a pair arrive in order through places that are used again", "[ce]") {
  constexpr std::uint64_t kMessages = 1000;  // many laps of the ring
  std::uint64_t wrong = 0;
  with_two_ranks(
      [&](Mailbox& sender) {
        std::uint64_t collected = 0;
        for (std::uint64_t posted = 0; collected < kMessages;) {
          const MemoryRange range{.block = 1, .offset = posted * 16, .bytes = posted + 1};
          if (posted < kMessages && sender.post(RankId(1), posted, range)) ++posted;
          if (collected < posted && sender.collect(RankId(1), collected)) ++collected;
        }
      },
      [&](Mailbox& receiver) {
        for (std::uint64_t k = 0; k < kMessages;) {
          const MemoryRange* range = receiver.posted(RankId(0), k);
          if (range == nullptr) continue;
          wrong += range->offset == k * 16 && range->bytes == k + 1 && range->block == 1 ? 0 : 1;
          receiver.mark_copied(RankId(0), k++);
        }
      });
  REQUIRE(wrong == 0);
}

TEST_CASE("a full ring refuses the next message until its first one was collected", "[ce]") {
  std::atomic<bool> received = false;
  std::atomic<bool> looked = false;
  std::uint64_t fitted = 0;
  bool fits_later = false;
  with_two_ranks(
      [&](Mailbox& sender) {
        while (sender.post(RankId(1), fitted, {})) ++fitted;
        looked = true;
        while (!received) std::this_thread::yield();
        fits_later = sender.collect(RankId(1), 0) && sender.post(RankId(1), fitted, {});
      },
      [&](Mailbox& receiver) {
        while (!looked) std::this_thread::yield();
        receiver.mark_copied(RankId(0), 0);
        received = true;
      });
  REQUIRE(fitted > 0);
  REQUIRE(fits_later);
}

TEST_CASE("after an abort no rank starts another copy", "[ce]") {
  std::atomic<bool> aborted = false;
  bool started = true;
  with_two_ranks(
      [&](Mailbox& mailbox) {
        mailbox.forbid();
        aborted = true;
      },
      [&](Mailbox& mailbox) {
        while (!aborted) std::this_thread::yield();
        started = mailbox.unless_aborted([] {});
      });
  REQUIRE_FALSE(started);
}

TEST_CASE("who aborts waits for copies that are under way, and no longer than a second", "[ce]") {
  std::atomic<bool> copying = false;
  std::atomic<bool> waited = false;
  bool too_early = false;
  with_two_ranks(
      [&](Mailbox& mailbox) {
        while (!copying) std::this_thread::yield();
        mailbox.forbid();
        mailbox.wait_for_others();
        waited = true;
      },
      [&](Mailbox& mailbox) {
        REQUIRE(mailbox.unless_aborted([] {}));
        copying = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        too_early = waited;
        mailbox.settled();
      });
  REQUIRE_FALSE(too_early);
}

}  // namespace
}  // namespace moeshift
