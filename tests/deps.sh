#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing:  tests/deps.sh build|demo|test|lint...
# Says what and why, uses sudo when not root, is silent when nothing is missing. When it cannot
# install, it ends with the list of what it would have installed.
set -eu

# use      package                  why
table='
build      gcc                      compiles the programs
build      libc6-dev                headers of the C library
build      pkg-config               finds the libraries below
build      protobuf-c-compiler      makes C out of proto/
build      protobuf-compiler        what protoc-c reads .proto files with
build      libprotobuf-dev          google/protobuf/timestamp.proto
build      libprotobuf-c-dev        messages on the wire
build      librdkafka-dev           Kafka
build      libcurl4-openssl-dev     calls of the Management API
build      libssl-dev               its allocator, so that TLS leaves no token in memory
build      libcjson-dev             JSON of the Management API
build      libsodium-dev            signatures and sealed boxes
build      libcyaml-dev             configuration
build      libyaml-dev              what libcyaml is linked with, and does not bring along
build      libmicrohttpd-dev        health, metrics, and the sandbox
demo       curl                     asks the sandbox for the truth
demo       kcat                     reads the reply topic as an onlooker would
test       gdb                      makes core files of a process that makes none
test       groff-base               checks the manual pages
test       libcmocka-dev            unit tests
test       python3-pytest           tests of the programs
test       python3-confluent-kafka  their Kafka client
test       python3-cryptography     their signatures
test       python3-nacl             their sealed boxes
test       python3-protobuf         their messages
test       python3-yaml             their look into configurations
test       maven                    fetches Apache Kafka
test       default-jre-headless     runs Apache Kafka
fuzz       clang-14                 compiles the fuzz targets
fuzz       libclang-rt-14-dev       libFuzzer, and the sanitizers of clang
fuzz       llvm-14                  names in their reports, and what of the code they reach
lint       clang-tidy-14            reads the C code
lint       cppcheck                 reads it, too
lint       shellcheck               reads the scripts
'

missing() {     # missing USE...: the rows of the table that are not installed
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
	printf '%s\n' "$table" | while read -r use package why; do
		case " $* " in *" $use "*) ;; *) continue ;; esac
		printf '%s\n' "$installed" | grep -qx "$package" || printf '%-25s %s\n' "$package" "$why"
	done
}

apt() {         # apt ARGUMENTS...: as root, asking nothing
	if [ "$(id -u)" = 0 ]; then
		DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
	else
		sudo DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
	fi
}

give_up() {
	printf 'deps: %s. Needed, and not installed:\n%s\n' "$1" "$lacking" >&2
	exit 1
}

lacking=$(missing "$@")
[ -n "$lacking" ] || exit 0
command -v apt-get >/dev/null || give_up "this is no Debian: there is no apt-get"
[ "$(id -u)" = 0 ] || command -v sudo >/dev/null || give_up "neither root nor sudo"

printf 'Installing:\n%s\n' "$lacking" | sed '2,$s/^/  /'
packages=$(printf '%s\n' "$lacking" | cut -d' ' -f1)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086     # one word per package
if ! { apt update && apt install --no-install-recommends $packages; } >"$log" 2>&1 </dev/null; then
	tail -15 "$log" >&2
	give_up "apt-get failed"
fi
