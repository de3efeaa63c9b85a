// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/passed_files.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/execute/world/gather_now.hpp"
#include "moeshift/execute/world/handshake.hpp"
#include "moeshift/execute/world/rendezvous.hpp"

namespace moeshift {
namespace {

/// One message: a rank, and its file beside it.
struct Parcel {
  Parcel() {
    part.iov_base = &rank;
    part.iov_len = sizeof rank;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  }

  std::uint32_t rank = 0;
  iovec part{};
  msghdr message{};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
};

/// @throws DeviceError at the deadline, InterruptedError.
void await(int socket, short wanted, Deadline deadline, const Stop& stop) {
  while (true) {
    pollfd event{socket, wanted, 0};
    if (poll(&event, 1, 100) > 0) return;
    if (stop && stop()) throw InterruptedError();
    if (deadline.expired()) throw DeviceError("a peer's memory was not handed over in time");
  }
}

void send_file(int socket, RankId owner, int file, Deadline deadline, const Stop& stop) {
  Parcel parcel;
  parcel.rank = owner.value();
  cmsghdr* header = CMSG_FIRSTHDR(&parcel.message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof file);
  std::memcpy(CMSG_DATA(header), &file, sizeof file);
  while (sendmsg(socket, &parcel.message, MSG_NOSIGNAL) != sizeof parcel.rank) {
    if (errno != EAGAIN && errno != EINTR) throw DeviceError("a peer ended while it was joining");
    await(socket, POLLOUT, deadline, stop);
  }
}

/// All that came along, owned: the system lets through more than was asked for where the room for
/// one, rounded up, is enough for two.
std::vector<FileDescriptor> files_in(msghdr& message) {
  std::vector<FileDescriptor> files;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + i * sizeof number, sizeof number);
      files.emplace_back(number);
    }
  }
  return files;
}

/// @param owner who it must be of.
FileDescriptor receive_file(int socket, RankId owner, Deadline deadline, const Stop& stop) {
  Parcel parcel;
  while (true) {
    await(socket, POLLIN, deadline, stop);
    const ssize_t count = recvmsg(socket, &parcel.message, MSG_CMSG_CLOEXEC);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    std::vector<FileDescriptor> files;
    if (count >= 0) files = files_in(parcel.message);
    if (count != sizeof parcel.rank) throw DeviceError("a peer ended while it was joining");
    if (files.size() == 1 && parcel.rank == owner.value()) return std::move(files.front());
    throw DeviceError("a peer handed over something else than its memory");
  }
}

}  // namespace

void exchange_files(ControlPlane& control, int mine, Deadline deadline,
                    const std::function<bool()>& stop,
                    const std::function<void(RankId, FileDescriptor)>& take) {
  const std::size_t size = control.size();
  const RankId self = control.self();
  const RankId leader(0);
  if (size == 1) return;
  const std::string token = random_word();
  if (self == leader) {
    const std::string name = "unix:@moeshift-" + random_word();
    const Listener listener(name);
    static_cast<void>(gather_now(control, name + " " + token, deadline, stop));
    const std::vector<FileDescriptor> sockets =
        listener.accept_all({.token = token, .world = size}, deadline, stop);
    std::vector<FileDescriptor> files(size);
    for (std::size_t rank = 1; rank < size; ++rank) {
      files[rank] = receive_file(sockets[rank - 1].get(), RankId(rank), deadline, stop);
    }
    for (const RankId to : all_ids<RankId>(size)) {
      for (const RankId owner : all_ids<RankId>(size)) {
        if (to == leader || owner == to) continue;
        const int file = owner == leader ? mine : files[owner.index()].get();
        send_file(sockets[to.index() - 1].get(), owner, file, deadline, stop);
      }
    }
    for (std::size_t rank = 1; rank < size; ++rank) take(RankId(rank), std::move(files[rank]));
    // Nobody may be gone before everybody has everything.
    static_cast<void>(gather_now(control, "taken", deadline, stop));
    return;
  }
  const std::string told = gather_now(control, "", deadline, stop).front();
  const std::size_t space = told.find(' ');
  if (space == std::string::npos) throw DeviceError("rank 0 did not say where to meet");
  const Secret secret{.token = told.substr(space + 1), .world = size};
  const FileDescriptor socket =
      connect_to_leader(told.substr(0, space), secret, self, deadline, stop);
  send_file(socket.get(), self, mine, deadline, stop);
  for (const RankId owner : all_ids<RankId>(size)) {
    if (owner != self) take(owner, receive_file(socket.get(), owner, deadline, stop));
  }
  static_cast<void>(gather_now(control, "taken", deadline, stop));
}

}  // namespace moeshift
