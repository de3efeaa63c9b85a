// SPDX-License-Identifier: Apache-2.0
namespace moeshift::test {

const char* source_directory();

const char* source_directory() {
  return MOESHIFT_SOURCE_DIR;
}

}  // namespace moeshift::test
