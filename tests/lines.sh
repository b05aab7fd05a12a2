#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No line is too long to be read beside another file:  tests/lines.sh COLUMNS
#
# A tab counts to the next multiple of 8. Rows of tables, which are read downwards, may be longer.
set -eu
cd "$(dirname "$0")/.."

files=$(find Makefile proto service workers tests -type f \
	\( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' -o -name '*.proto' -o -name Makefile \
	-o -path tests/run -o -path tests/demo/demo -o -path 'tests/chaos/[ct]*' -o -path 'tests/fuzz/[rp]*' \
	-o -path tests/model/run \
	-o -path tests/compat/keep \) -print)
long=$(for file in $files; do
	expand "$file" | LC_ALL=C.UTF-8 grep -nE "^.{$1}." | grep -v '^[0-9]*: *ROW(' | sed "s|^|$file:|" || true
done)
[ -z "$long" ] || { printf '%s\n' "$long"; exit 1; }
