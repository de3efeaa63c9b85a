// SPDX-License-Identifier: Apache-2.0
// What the thread sanitizer cannot see: libraries that are not built with it.

/// OpenSSL 3.5 finds its algorithms in a table that it guards by read-copy-update of its own, and
/// nothing tells the sanitizer what that orders.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libcrypto.so";
}
