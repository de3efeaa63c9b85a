// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/nccl/collective_library.hpp"
#include "moeshift/execute_cuda/nccl/nccl_environment.hpp"
#include "moeshift/execute_cuda/nccl/nccl_log.hpp"

#include "gpu_support.hpp"

namespace moeshift {
namespace {

TEST_CASE("NCCL reports the version that runs as one that this program can use", "[nccl]") {
  const CollectiveLibrary& nccl = *cuda_platform().collectives;
  if (!nccl.missing().empty()) test::skip(nccl.missing());
  REQUIRE(nccl.version() >= 21900);
  REQUIRE(nccl.version_text().find('.') != std::string::npos);
}

TEST_CASE("the environment of ranks that share a GPU keeps what the user has set", "[nccl]") {
  ::setenv("NCCL_BUFFSIZE", "1048576", 1);
  set_environment(shared_gpu_environment(RankId(3), 8));
  const Facts environment = nccl_environment();
  const auto value = [&](std::string_view name) {
    const auto found = std::ranges::find(environment, name, [](const auto& f) { return f.first; });
    return found == environment.end() ? std::string() : found->second;
  };
  REQUIRE(value("NCCL_BUFFSIZE") == "1048576");
  REQUIRE(value("NCCL_HOSTID") == "moeshift-rank-3");
  REQUIRE(value("NCCL_SOCKET_IFNAME") == "lo");
}

TEST_CASE("channels and transports are read off NCCL's own log", "[nccl]") {
  const std::string log =
      "vm:12:34 [0] NCCL INFO Bootstrap: Using lo:127.0.0.1<0>\n"
      "vm:12:34 [0] NCCL INFO 2 coll channels, 2 collnet channels, 0 nvls channels, "
      "2 p2p channels, 2 p2p channels per peer\n"
      "vm:12:34 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/Socket/0\n"
      "vm:12:34 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[0] [send] via NET/Socket/0\n"
      "vm:12:34 [0] NCCL INFO Channel 00/1 : 0[0] -> 2[1] via P2P/CUMEM\n";
  const Facts facts = facts_of_nccl_log(log);
  REQUIRE(facts.size() == 2);
  REQUIRE(facts[0].second ==
          "2 coll channels, 2 collnet channels, 0 nvls channels, 2 p2p channels, "
          "2 p2p channels per peer");
  REQUIRE(facts[1] ==
          std::pair<std::string, std::string>("nccl_transports", "NET/Socket 2, P2P/CUMEM 1"));
  REQUIRE(facts_of_nccl_log("").empty());
}

TEST_CASE("groups are bounded by the channels that NCCL's log tells of", "[nccl]") {
  const std::string start = "vm:12:34 [0] NCCL INFO 24 coll channels, 0 nvls channels, ";
  REQUIRE(messages_per_group(start + "32 p2p channels, 32 p2p channels per peer\n") == 6);
  REQUIRE(messages_per_group(start + "2 p2p channels, 2 p2p channels per peer\n") == 126);
  // A log that tells nothing: NCCL has at most 64 channels.
  REQUIRE(messages_per_group("") == 2);
}

TEST_CASE("the nccl transport says why it cannot run where there is no GPU", "[nccl]") {
  const std::string reason = find_backend("nccl").unavailable_reason();
  REQUIRE(reason.empty() == (cuda_platform().runtime->visible_devices() > 0));
}

TEST_CASE("ranks of one process on one GPU are refused with the way out", "[gpu]") {
  test::require_gpu();
  if (cuda_platform().collectives->version() >= 23003)
    test::skip("this NCCL lets ranks share a GPU");
  WorldRequest options = test::ranks(2);
  options.settings = {{"threads", ""}, {"ranks-per-gpu", "2"}};
  REQUIRE_THROWS_AS(find_backend("nccl").open(options), InputError);
}

TEST_CASE("a communicator of one rank opens and closes without waiting for anybody", "[gpu]") {
  test::require_gpu();
  const std::unique_ptr<World> world = find_backend("nccl").open(test::ranks(1));
  test::for_each_rank(*world, [&](RankId, Member& member) {
    member.transport->connect({}, {}, Deadline::in(Seconds(20.0)));
    member.transport->close(Deadline::in(Seconds(20.0)));
  });
}

}  // namespace
}  // namespace moeshift
