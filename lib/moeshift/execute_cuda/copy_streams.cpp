// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/copy_streams.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/execute_cuda/cuda_check.hpp"

namespace moeshift {

void EventsPending::add(cudaStream_t stream) {
  Event end = make_event();
  check(cudaEventRecord(end.get(), stream));
  spans_.push_back({{}, std::move(end)});
}

void EventsPending::add(Event begin, cudaStream_t stream) {
  Event end = make_timing_event();
  check(cudaEventRecord(end.get(), stream));
  spans_.push_back({std::move(begin), std::move(end)});
}

bool EventsPending::poll() {
  while (!spans_.empty() && finished(spans_.back().end.get())) {
    const Span& span = spans_.back();
    if (span.begin) {
      time_ = std::max(time_.value_or(Seconds(0.0)), elapsed(span.begin.get(), span.end.get()));
    }
    spans_.pop_back();
  }
  return spans_.empty();
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
    Event begin = make_timing_event();
    check(cudaEventRecord(begin.get(), streams_[i].get()));
    enqueue_copies(shares[i], path_, streams_[i].get());
    pending->add(std::move(begin), streams_[i].get());
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
