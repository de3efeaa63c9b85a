// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/passed_files.hpp"

#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/host/shared_arena.hpp"
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
