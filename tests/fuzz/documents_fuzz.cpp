// SPDX-License-Identifier: Apache-2.0
// libFuzzer's door to documents: the first byte says of which kind, the rest is the document. With
// MOESHIFT_FUZZ_SEEDS=DIR the seeds are written there first. Built as readers_fuzz; run:
//   MOESHIFT_FUZZ_SEEDS=seeds build/fuzz/fuzz/documents_fuzz -max_total_time=600 new seeds
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/documents.hpp"

namespace {

void write_seeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const auto kinds = moeshift::test::document_kinds();
  for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
    std::size_t number = 0;
    for (const std::string& seed : kinds[kind].seeds()) {
      std::ofstream file(folder / (std::string(kinds[kind].name) + std::to_string(number++)));
      file << static_cast<char>(kind) << seed;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("MOESHIFT_FUZZ_SEEDS")) write_seeds(folder);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto kinds = moeshift::test::document_kinds();
  kinds[data[0] % kinds.size()].feed(
      std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
