// SPDX-License-Identifier: Apache-2.0
// Transports that copy straight between the memories of two ranks of one machine, through the same
// process, peer access or CUDA IPC: nothing is gathered, nothing passes a buffer on the way, and no
// kernel waits for another, so they cannot deadlock with a model's own collectives.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/execute/transport.hpp"
#include "moeshift/execute_cuda/memory/accelerator_memory.hpp"
#include "moeshift/execute_cuda/memory/copy_streams.hpp"
#include "moeshift/execute_cuda/peer/mailbox.hpp"

namespace moeshift {

/// How the sender's bytes get into the memory of all its receivers at once. Copies that a receiver
/// pulls are a third slower where several read from one GPU.
enum class PeerCopy : std::uint8_t {
  kCopyEngines,  ///< pushed, a stream for each peer
  kStores,       ///< by one kernel
};

class PeerMemoryTransport final : public Transport {
 public:
  /// Collective. `memory` and `control` outlive this.
  /// @param blocks that a kernel may have, of any GPU
  PeerMemoryTransport(ControlPlane& control, AcceleratorMemory& memory, PeerCopy how,
                      unsigned blocks, Deadline deadline);
  ~PeerMemoryTransport() override;

  /// Never gather: a copy per expert, from live slot to staging slot, moves each byte once.
  [[nodiscard]] TransportTraits traits() const override {
    return {.messages_per_pair = Mailbox::kPerExchange};
  }
  /// Learns where the peers' blocks are; all blocks must have been allocated before.
  void connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
               Deadline deadline) override;
  [[nodiscard]] std::unique_ptr<Pending> exchange(std::span<const Message> messages) override;
  void abort() noexcept override;
  void close(Deadline deadline) override;

 private:
  class PendingExchange;

  /// Where this rank sees the blocks of a peer.
  struct PeerBlocks {
    std::vector<std::byte*> starts;
    std::vector<MappedMemory> mappings;  ///< empty in one process
    bool same_device = false;
  };
  struct Progress {
    std::size_t outstanding = 0;  ///< messages that are not done
    Seconds device{0.0};          ///< of the batches of copies that began with one of them
  };
  /// A message on its way: its receiver posts where it wants it and collects it, the sender copies.
  struct Item {
    Message message;
    std::uint64_t sequence = 0;
    std::shared_ptr<Progress> progress;  ///< of its exchange
  };
  /// What this rank copies in one exchange: it starts when all of it is posted.
  struct Share {
    std::vector<Item> items;  ///< in the order of the messages
    std::vector<Item> last;   ///< of every peer
  };
  struct Batch {
    std::vector<Item> items;
    std::vector<std::unique_ptr<Pending>> lanes;
  };

  /// Moves every exchange on, as far as it goes now.
  void advance();
  void post();
  void start_copies();
  void finish_copies();
  [[nodiscard]] bool is_posted(const Share& share) const;
  [[nodiscard]] std::vector<Item> turn_about(std::vector<Item> items) const;
  [[nodiscard]] std::vector<std::unique_ptr<Pending>> start(const std::vector<Share>& shares);
  [[nodiscard]] std::vector<RankId> peers_of(const Progress& progress) const;

  void open_blocks(RankId peer, const std::string& announcement);
  [[nodiscard]] MemoryRange range_of(const Message& message) const;
  [[nodiscard]] CopyRequest copy_of(const Item& item) const;

  ControlPlane& control_;
  AcceleratorMemory& memory_;
  PeerCopy how_;
  Mailbox mailbox_;
  CopyStreams far_;   ///< between GPUs
  CopyStreams near_;  ///< within one, where the driver would use kernels, too
  IdVector<RankId, PeerBlocks> peers_;
  IdVector<RankId, std::uint64_t> posted_;  ///< messages so far, per peer
  IdVector<RankId, std::uint64_t> taken_;   ///< likewise, of those that this rank copies
  std::vector<Item> to_post_;               ///< those that have found no place in the mailbox
  std::vector<Item> to_collect_;            ///< posted, not copied
  std::deque<Share> to_copy_;               ///< not posted, or waiting for their turn
  std::vector<Batch> copying_;
  bool closed_ = false;
  bool aborted_ = false;
};

}  // namespace moeshift
