// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/memory/copy_streams.hpp"

#include <algorithm>
#include <utility>

namespace moeshift {

/// Copies dealt over streams; outlives the lane if it must.
class CopyStreams::PendingCopies final : public Pending {
 public:
  void add(std::shared_ptr<WatchedStream> stream, WatchedStream::Work work) {
    shares_.push_back({std::move(stream), std::move(work)});
  }
  void hold(std::shared_ptr<const void> what) { held_ = std::move(what); }
  [[nodiscard]] bool poll() override {
    while (!shares_.empty() && shares_.back().stream->done(shares_.back().work)) {
      Share& share = shares_.back();
      const std::optional<Seconds> time = share.stream->retire(std::move(share.work));
      if (time) time_ = std::max(time_.value_or(Seconds(0.0)), *time);
      shares_.pop_back();
    }
    return shares_.empty();
  }
  /// Of the stream that took longest.
  [[nodiscard]] std::optional<Seconds> device_time() const override { return time_; }

 private:
  struct Share {
    std::shared_ptr<WatchedStream> stream;
    WatchedStream::Work work;
  };
  std::shared_ptr<const void> held_;
  std::vector<Share> shares_;
  std::optional<Seconds> time_;
};

CopyStreams::CopyStreams(const Platform& platform, std::size_t streams, CopyPath path,
                         bool high_priority, unsigned blocks)
    : platform_(platform), path_(path), blocks_(blocks) {
  for (std::size_t i = 0; i < streams; ++i) {
    streams_.push_back(std::make_shared<WatchedStream>(*platform.runtime, high_priority));
  }
}

std::unique_ptr<Pending> CopyStreams::start(std::span<const CopyRequest> copies,
                                            std::optional<unsigned> blocks) {
  auto pending = std::make_unique<PendingCopies>();
  const std::vector<CopyRequest> runs = joined(copies);
  std::vector<std::vector<CopyRequest>> shares(streams_.size());
  std::vector<std::int64_t> bytes(streams_.size(), 0);
  for (const CopyRequest& run : runs) {
    std::size_t lightest = next_;
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      const std::size_t stream = (next_ + i) % streams_.size();
      if (bytes[stream] < bytes[lightest]) lightest = stream;
    }
    shares[lightest].push_back(run);
    bytes[lightest] += run.bytes.count();
  }
  next_ = (next_ + runs.size()) % streams_.size();
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (!shares[i].empty()) put(i, shares[i], blocks.value_or(blocks_), *pending);
  }
  return pending;
}

std::unique_ptr<Pending> CopyStreams::start_in_order(std::span<const CopyRequest> copies,
                                                     std::size_t stream) {
  auto pending = std::make_unique<PendingCopies>();
  if (!copies.empty()) put(stream, copies, blocks_, *pending);
  return pending;
}

std::unique_ptr<Pending> CopyStreams::start_work(
    const std::function<std::shared_ptr<const void>(DeviceStream)>& enqueue) {
  auto pending = std::make_unique<PendingCopies>();
  pending->hold(enqueue(streams_.front()->get()));
  pending->add(streams_.front(), streams_.front()->mark());
  return pending;
}

void CopyStreams::put(std::size_t stream, std::span<const CopyRequest> copies, unsigned blocks,
                      PendingCopies& pending) {
  WatchedStream& target = *streams_[stream];
  WatchedStream::Work work = target.begin();
  if (path_ == CopyPath::kKernel) {
    platform_.kernels->copy(copies, blocks, target.get());
  } else {
    platform_.runtime->copy_all(copies, path_ == CopyPath::kCopyEngine, target.get());
  }
  target.end(work);
  pending.add(streams_[stream], std::move(work));
}

std::vector<CopyRequest> joined(std::span<const CopyRequest> copies) {
  std::vector<CopyRequest> runs(copies.begin(), copies.end());
  std::ranges::sort(runs, {}, &CopyRequest::from);
  std::size_t last = 0;
  for (std::size_t i = 1; i < runs.size(); ++i) {
    CopyRequest& run = runs[last];
    if (run.from + run.bytes.count() == runs[i].from && run.to + run.bytes.count() == runs[i].to) {
      run.bytes += runs[i].bytes;
    } else {
      runs[++last] = runs[i];
    }
  }
  if (!runs.empty()) runs.resize(last + 1);
  return runs;
}

}  // namespace moeshift
