// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/bytes/ahead_decoder.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <istream>
#include <mutex>
#include <streambuf>
#include <string>
#include <thread>
#include <utility>

namespace moeshift {
namespace {

constexpr std::size_t kPackedBlock = std::size_t{1} << 17U;
constexpr std::size_t kUnfoldedBlock = std::size_t{1} << 20U;
constexpr std::size_t kBlocks = 4;

}  // namespace

/// What both threads look at, under one lock.
struct AheadDecoder::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> packed;    ///< read and not unfolded yet
  std::deque<std::string> unfolded;  ///< not taken yet
  std::size_t taken = 0;             ///< bytes of the first unfolded block
  bool all_packed = false;           ///< the stream has ended
  bool stop = false;                 ///< nobody reads any more
  bool done = false;                 ///< the thread has ended
  std::exception_ptr error;

  /// The thread's end of the packed blocks, as a stream.
  class Buffer final : public std::streambuf {
   public:
    explicit Buffer(Shared& shared) : shared_(shared) {}

   protected:
    int_type underflow() override {
      std::unique_lock lock(shared_.mutex);
      shared_.changed.wait(
          lock, [this] { return shared_.stop || shared_.all_packed || !shared_.packed.empty(); });
      if (shared_.stop || shared_.packed.empty()) return traits_type::eof();
      block_ = std::move(shared_.packed.front());
      shared_.packed.pop_front();
      shared_.changed.notify_all();
      setg(block_.data(), block_.data(), block_.data() + block_.size());
      return traits_type::to_int_type(block_.front());
    }

   private:
    Shared& shared_;
    std::string block_;
  };

  Buffer buffer{*this};
  std::istream stream{&buffer};
  std::unique_ptr<Decoder> decoder;
  std::thread thread;

  void unfold() {
    try {
      while (true) {
        std::string block(kUnfoldedBlock, '\0');
        std::size_t filled = 0;
        while (filled < block.size()) {
          const std::size_t more = decoder->read(block.data() + filled, block.size() - filled);
          if (more == 0) break;
          filled += more;
        }
        const bool ended = filled < block.size();
        block.resize(filled);
        if (!give(std::move(block)) || ended) break;
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    done = true;
    changed.notify_all();
  }

  /// @return false when nobody reads any more.
  bool give(std::string block) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return stop || unfolded.size() < kBlocks; });
    if (stop) return false;
    if (!block.empty()) unfolded.push_back(std::move(block));
    changed.notify_all();
    return true;
  }
};

AheadDecoder::AheadDecoder(std::istream& in, const MakeDecoder& make)
    : in_(in), shared_(std::make_unique<Shared>()) {
  shared_->decoder = make(shared_->stream);
  shared_->thread = std::thread([shared = shared_.get()] { shared->unfold(); });
}

AheadDecoder::~AheadDecoder() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
    shared_->changed.notify_all();
  }
  shared_->thread.join();
}

void AheadDecoder::hand_over() {
  std::string block(kPackedBlock, '\0');
  in_.read(block.data(), static_cast<std::streamsize>(block.size()));
  block.resize(static_cast<std::size_t>(in_.gcount()));
  const std::lock_guard lock(shared_->mutex);
  shared_->all_packed = block.empty();
  if (!block.empty()) shared_->packed.push_back(std::move(block));
  shared_->changed.notify_all();
}

std::size_t AheadDecoder::read(char* to, std::size_t count) {
  Shared& shared = *shared_;
  std::unique_lock lock(shared.mutex);
  while (true) {
    // The thread is kept busy first, then waited for.
    if (!shared.all_packed && !shared.done && shared.packed.size() < kBlocks) {
      lock.unlock();
      hand_over();
      lock.lock();
      continue;
    }
    if (!shared.unfolded.empty()) break;
    if (shared.done) {
      if (shared.error) std::rethrow_exception(shared.error);
      return 0;
    }
    shared.changed.wait(lock, [&] {
      const bool hungry = !shared.all_packed && shared.packed.size() < kBlocks;
      return shared.done || hungry || !shared.unfolded.empty();
    });
  }
  const std::string& first = shared.unfolded.front();
  const std::size_t part = std::min(count, first.size() - shared.taken);
  std::copy_n(first.data() + shared.taken, part, to);
  shared.taken += part;
  if (shared.taken == first.size()) {
    shared.unfolded.pop_front();
    shared.taken = 0;
    shared.changed.notify_all();
  }
  return part;
}

}  // namespace moeshift
