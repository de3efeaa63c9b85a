#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# with_pkg_config.sh PREFIX SOURCE PROGRAM LIBDIR: compiles a C program as its README would say.
set -eu
command -v pkg-config >/dev/null || { echo "SKIPPED: no pkg-config here"; exit 77; }
export PKG_CONFIG_PATH="$1/$4/pkgconfig"
${CC:-cc} -std=c99 -Wall -Wextra -Werror -pedantic "$2" -o "$3" $(pkg-config --cflags --libs moeshift)
LD_LIBRARY_PATH="$1/$4" "$3"
