// SPDX-License-Identifier: Apache-2.0
// libFuzzer's door to the readers. Build and run:
//   cmake -S . -B build/fuzz -DCMAKE_CXX_COMPILER=clang++-19 -DMOESHIFT_FUZZ=ON \
//     -DMOESHIFT_SANITIZE=address,undefined
//   cmake --build build/fuzz --target readers_fuzz
//   build/fuzz/fuzz/readers_fuzz -max_total_time=600 new_corpus tests/fuzz/corpus
#include <cstdint>

#include "tests/fuzz/readers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  moeshift::test::feed_readers(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
