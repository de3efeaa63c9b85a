// SPDX-License-Identifier: Apache-2.0
// Devices made of host memory: streams whose work runs one piece at a time, in an order that a seed
// decides, and a graph of what was ordered after what.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "rulebook.hpp"

namespace rulebook {

struct Kernel;

/// Bytes that a piece of work reads or writes.
struct Access {
  const std::byte* start = nullptr;
  std::size_t bytes = 0;
  bool write = false;
};

/// A piece of device work.
struct Work {
  int rank = -1;
  std::string call;
  std::vector<std::string> within;
  std::vector<Access> accesses;
  std::vector<std::shared_ptr<Work>> after;  ///< what it is ordered after
  std::function<void()> run;
  std::shared_ptr<Kernel> kernel;  ///< instead of `run`: ends with its messages
  std::uint64_t not_before = 0;    ///< turn
  bool done = false;
  bool seen = false;  ///< the host knows that it is done, so all that it starts now comes after
};

struct Stream {
  int device = 0;
  int rank = -1;
  std::deque<std::shared_ptr<Work>> queue;
  std::shared_ptr<Work> last;
  bool closed = false;  ///< destroyed; goes when it is empty
};

struct Event {
  int rank = -1;
  bool timing = false;
  std::shared_ptr<Work> mark;  ///< null: never recorded
  std::shared_ptr<double> time = std::make_shared<double>(0.0);
};

struct Block {
  std::size_t bytes = 0;
  int device = 0;
  int rank = -1;
  bool host = false;
  std::string call;
};

class Communicators;

/// Everything, behind one lock. Handles are numbers that are never used again.
class Machine {
 public:
  static Machine& get();

  std::mutex mutex;

  // All of the following are called with the lock held.
  void reset(const Options& options);
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] std::uint64_t below(std::uint64_t count) {
    return count == 0 ? 0 : random_() % count;
  }
  void report(std::string rule, int rank, std::string call, std::string text);
  /// The same, once for each `key`.
  void report_once(const std::string& key, std::string rule, int rank, std::string call,
                   std::string text);
  /// About work that was started earlier: names what its thread was about then. Once per `key`.
  void report_work(const std::string& key, std::string rule, const Work& work, std::string text);
  [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }
  [[nodiscard]] std::vector<Finding> leaks() const;

  // Threads.
  [[nodiscard]] static int& bound_device();
  [[nodiscard]] static std::vector<std::pair<std::uint64_t, std::string>>& open_ranges();
  [[nodiscard]] std::uint64_t next_number() { return ++number_; }

  // Memory.
  [[nodiscard]] void* allocate(std::size_t bytes, bool host, std::string call);
  /// False for what is no allocation; reports it.
  bool free(void* start, const std::string& call);
  [[nodiscard]] std::size_t used_on(int device) const;
  /// Reports what lies outside of all allocations.
  void check_range(const Access& access, int rank, const std::string& call);
  [[nodiscard]] bool is_known(const void* start) const;

  // Streams and events.
  [[nodiscard]] void* create_stream();
  [[nodiscard]] void* create_event(bool timing);
  bool destroy_stream(void* handle);
  bool destroy_event(void* handle);
  [[nodiscard]] std::shared_ptr<Stream> stream_of(void* handle, const char* call);
  [[nodiscard]] std::shared_ptr<Event> event_of(void* handle, const char* call);
  [[nodiscard]] std::shared_ptr<Work> make_work(int rank, std::string call);
  /// Puts it at the end of the stream, and looks for conflicting work that it is not ordered after.
  void enqueue(Stream& stream, std::shared_ptr<Work> work);
  /// The same for work that gets onto its stream later: as if it were there now.
  void check_order(const Stream& stream, const std::shared_ptr<Work>& work);
  void put(Stream& stream, std::shared_ptr<Work> work);
  /// A fault: records of the device are left out until an event is missed.
  void drop_records(int device) { drops_.insert(device); }
  [[nodiscard]] bool drops_records(int device) const { return drops_.contains(device); }
  void report_missing_record(int rank, std::string call, std::string text);
  /// The host knows that it is done.
  void observe(const std::shared_ptr<Work>& work);
  void forget(const std::shared_ptr<Work>& work);

  /// Runs one piece of work; false when nothing can run.
  bool step();
  void progressed();
  void wake() { changed_.notify_all(); }
  [[nodiscard]] std::uint64_t turn() const { return turn_; }
  [[nodiscard]] std::vector<std::shared_ptr<Stream>>& streams() { return streams_; }
  [[nodiscard]] Communicators& communicators() { return *communicators_; }

  std::size_t mappings = 0;

 private:
  Machine();
  ~Machine();
  void run();
  bool step_once(std::uint64_t* earliest);

  Options options_;
  std::mt19937_64 random_;
  std::vector<Finding> findings_;
  std::map<std::string, bool> reported_;
  std::map<const std::byte*, Block> blocks_;
  std::unordered_map<void*, std::shared_ptr<Stream>> stream_handles_;
  std::unordered_map<void*, std::shared_ptr<Event>> event_handles_;
  std::vector<std::shared_ptr<Stream>> streams_;
  std::vector<std::shared_ptr<Work>> live_;  ///< with accesses, not seen to be done
  std::unique_ptr<Communicators> communicators_;
  std::set<int> drops_;  ///< devices whose records are left out
  std::uint64_t number_ = 0;
  std::uint64_t turn_ = 0;
  std::uint64_t changes_ = 0;
  std::uint64_t looked_at_ = 0;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace rulebook
