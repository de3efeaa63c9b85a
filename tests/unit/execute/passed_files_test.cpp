// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/passed_files.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <thread>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/execute/host/shared_arena.hpp"
#include "moeshift/execute/world/gather_now.hpp"
#include "moeshift/execute/world/handshake.hpp"
#include "moeshift/execute/world/rendezvous.hpp"
#include "moeshift/execute/world/thread_hub.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using namespace moeshift;

TEST_CASE("every rank is handed the file of every other one") {
  constexpr std::size_t kRanks = 4;
  const auto hub = std::make_shared<ThreadHub>(kRanks);
  std::vector<std::string> read(kRanks);
  {
    std::vector<std::jthread> threads;
    for (const RankId self : all_ids<RankId>(kRanks)) {
      threads.emplace_back([&, self] {
        ThreadControl control(hub, self);
        const FileDescriptor mine(memfd_create("test", MFD_CLOEXEC));
        const auto letter = static_cast<char>('a' + self.value());
        if (pwrite(mine.get(), &letter, 1, 0) != 1) return;
        exchange_files(control, mine.get(), Deadline::in(Seconds(20.0)), {},
                       [&](RankId from, const FileDescriptor& file) {
                         char got = '?';
                         if (pread(file.get(), &got, 1, 0) != 1) return;
                         read[self.index()] += std::to_string(from.value()) + got;
                       });
      });
    }
  }
  CHECK(read == std::vector<std::string>{"1b2c3d", "0a2c3d", "0a1b3d", "0a1b2c"});
}

namespace {

/// How often; MOESHIFT_HOSTILE asks for more.
int rounds() {
  const char* wanted = std::getenv("MOESHIFT_HOSTILE");
  return wanted == nullptr ? 12 : std::atoi(wanted);
}

/// Something that is no memory to share, as far as `kind` goes.
FileDescriptor any_file(std::uint32_t kind) {
  switch (kind) {
    case 0:
      return FileDescriptor(open("/dev/null", O_RDWR | O_CLOEXEC));
    case 1:
      return FileDescriptor(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    case 2:
      return FileDescriptor(open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
    case 3:
      return FileDescriptor(eventfd(0, EFD_CLOEXEC));
    case 4:
      return FileDescriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    default:
      return FileDescriptor(memfd_create("loose", MFD_CLOEXEC));
  }
}

/// A message of `length` bytes beginning with a rank's number, with so many files.
void send_parcel(int to, std::uint32_t rank, std::size_t length, std::size_t files, int file) {
  std::array<char, 16> text{};
  std::memcpy(text.data(), &rank, sizeof rank);
  iovec part{text.data(), length};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (files > 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(files * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(files * sizeof(int));
    for (std::size_t i = 0; i < files; ++i) {
      std::memcpy(CMSG_DATA(header) + i * sizeof file, &file, sizeof file);
    }
  }
  static_cast<void>(sendmsg(to, &message, MSG_NOSIGNAL));
}

/// A rank 1 that knows when and where to meet, and hands over whatever it likes.
void hand_over_anything(ControlPlane& control, Rng& rng) {
  const Deadline deadline = Deadline::in(Seconds(0.2));
  const std::string told = gather_now(control, "", deadline, {}).front();
  const std::size_t space = told.find(' ');
  const Secret secret{.token = told.substr(space + 1), .world = 2};
  const FileDescriptor leader =
      connect_to_leader(told.substr(0, space), secret, RankId(1), deadline, {});
  const FileDescriptor file = any_file(rng.below(6));
  const std::uint32_t rank = rng.below(3) == 0 ? rng.below(5) : 1;
  const std::size_t length = rng.below(4) == 0 ? rng.below(16) : sizeof rank;
  send_parcel(leader.get(), rank, length, rng.below(4) == 0 ? 2 * rng.below(2) : 1, file.get());
  if (rng.below(2) == 0) static_cast<void>(gather_now(control, "taken", deadline, {}));
}

std::size_t open_files() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace

TEST_CASE("whatever a peer hands over, none of it is mapped, and the wait ends at the deadline") {
  const std::size_t before = open_files();
  for (int seed = 0; seed < rounds(); ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(9001, static_cast<std::uint64_t>(seed));
    const auto hub = std::make_shared<ThreadHub>(2);
    const std::jthread peer([&] {
      ThreadControl control(hub, RankId(1));
      try {
        hand_over_anything(control, rng);
      } catch (const std::exception&) {  // rank 0 has hung up
      }
    });
    ThreadControl control(hub, RankId(0));
    const FileDescriptor mine(memfd_create("test", MFD_CLOEXEC));
    const Deadline hang = Deadline::in(Seconds(5.0));
    std::size_t mapped = 0;
    try {
      exchange_files(control, mine.get(), Deadline::in(Seconds(0.1)), {},
                     [&](RankId, const FileDescriptor& file) {
                       static_cast<void>(map_arena(file, 1 << 12, false));
                       ++mapped;
                     });
    } catch (const DeviceError&) {
    }
    CHECK(mapped == 0);
    CHECK_FALSE(hang.expired());
  }
  CHECK(open_files() == before);
}

TEST_CASE("memory that a peer could shrink, or that is too small, is not mapped") {
  const SharedArena arena(Bytes(1 << 16));
  const auto file_of = [](int number) { return FileDescriptor(dup(number)); };
  CHECK(map_arena(file_of(arena.file()), 1 << 16, false).bytes() == 1 << 16);
  CHECK_THROWS_AS(map_arena(file_of(arena.file()), (1 << 16) + 1, false), DeviceError);
  CHECK(ftruncate(arena.file(), 0) != 0);
  const FileDescriptor loose(memfd_create("test", MFD_CLOEXEC));
  REQUIRE(ftruncate(loose.get(), 1 << 16) == 0);
  CHECK_THROWS_AS(map_arena(loose, 1 << 16, false), DeviceError);
  const FileDescriptor folder(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK_THROWS_AS(map_arena(folder, 1, true), DeviceError);
}

TEST_CASE("what a run left in its memory's image is found by the next, and compared, not filled") {
  const test::Folder folder;
  const SlotLayout layout = single_tensor_layout(Bytes(256));
  const PatternTask expert{nullptr, {.seed = 1, .layer = LayerId(3), .expert = ExpertId(5)}};
  const auto open_memory = [&] {
    return HostMemory(arena_in_image(Bytes(1 << 16), folder / ".", RankId(2)), 1);
  };
  const auto filled = [&](HostMemory& memory, ExpertId who) {
    PatternTask task = expert;
    task.slot = memory.allocate(Bytes(256));
    task.key.expert = who;
    while (!memory.poison(task.slot, Bytes(256))->poll()) {
    }
    return memory.fill({&task, 1}, layout)->poll();
  };
  HostMemory first = open_memory();
  CHECK(filled(first, ExpertId(5)));
  HostMemory second = open_memory();
  CHECK(filled(second, ExpertId(5)));
  HostMemory third = open_memory();
  CHECK_THROWS_AS(filled(third, ExpertId(6)), DeviceError);
}
