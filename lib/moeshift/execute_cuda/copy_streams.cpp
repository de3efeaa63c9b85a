// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/copy_streams.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/execute_cuda/cuda_check.hpp"

namespace moeshift {

bool EventsPending::poll() {
  while (!events_.empty() && finished(events_.back().get())) events_.pop_back();
  return events_.empty();
}

CopyStreams::CopyStreams(std::size_t streams, CopyPath path, bool high_priority) : path_(path) {
  for (std::size_t i = 0; i < streams; ++i) streams_.push_back(make_stream(high_priority));
}

std::unique_ptr<Pending> CopyStreams::start(std::span<const CopyRequest> copies) {
  auto pending = std::make_unique<EventsPending>();
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
    if (shares[i].empty()) continue;
    enqueue_copies(shares[i], path_, streams_[i].get());
    Event done = make_event();
    check(cudaEventRecord(done.get(), streams_[i].get()));
    pending->add(std::move(done));
  }
  return pending;
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
