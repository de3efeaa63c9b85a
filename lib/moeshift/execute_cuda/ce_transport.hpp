// SPDX-License-Identifier: Apache-2.0
// Transport by copy engines: the receiver copies straight out of the sender's memory, through the
// same process, peer access or CUDA IPC. No SM is used and no kernel waits for another, so it
// cannot deadlock with a model's own collectives. All ranks are on one machine.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/execute/transport.hpp"
#include "moeshift/execute_cuda/ce_mailbox.hpp"
#include "moeshift/execute_cuda/copy_streams.hpp"
#include "moeshift/execute_cuda/cuda_memory.hpp"

namespace moeshift {

class CeTransport final : public Transport {
 public:
  /// Collective. `memory` and `control` outlive this.
  CeTransport(ControlPlane& control, CudaMemory& memory, const CudaMemoryOptions& options,
              Deadline deadline);
  ~CeTransport() override;

  /// Never gather: a copy per expert, from live slot to staging slot, moves each byte once.
  [[nodiscard]] TransportTraits traits() const override { return {}; }
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
    std::vector<const std::byte*> starts;
    std::vector<IpcMemory> mappings;  ///< empty in one process
  };
  struct Progress {
    std::size_t outstanding = 0;  ///< messages that are not done
    Seconds device{0.0};          ///< of the batches of copies that began with one of them
  };
  /// A message on its way: posted and collected by its sender, copied by its receiver.
  struct Item {
    Message message;
    std::uint64_t sequence = 0;
    std::shared_ptr<Progress> progress;  ///< of its exchange
  };
  struct Batch {
    std::vector<Item> items;
    std::unique_ptr<Pending> done;
  };

  /// Moves every exchange on, as far as it goes now.
  void advance();
  void post();
  void start_copies();
  void finish_copies();
  [[nodiscard]] std::vector<RankId> peers_of(const Progress& progress) const;

  void open_blocks(RankId peer, const std::string& announcement);
  [[nodiscard]] CeRange range_of(const Message& message) const;
  [[nodiscard]] CopyRequest copy_of(const Message& message, const CeRange& range) const;

  ControlPlane& control_;
  CudaMemory& memory_;
  CeMailbox mailbox_;
  CopyStreams streams_;
  IdVector<RankId, PeerBlocks> peers_;
  IdVector<RankId, std::uint64_t> sent_;      ///< messages so far, per peer
  IdVector<RankId, std::uint64_t> received_;  ///< likewise
  std::vector<Item> to_post_;                 ///< sends that have found no place in the mailbox
  std::vector<Item> to_collect_;              ///< sends that the receiver has not copied
  std::vector<Item> to_copy_;                 ///< receives that are not posted
  std::vector<Batch> copying_;
  bool closed_ = false;
};

}  // namespace moeshift
