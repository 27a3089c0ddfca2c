#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All benches in one table: bench/run.sh BUILD [--short]. `make bench`, `make bench SHORT=1`. See bench/README.md.
set -eu
build=${1:?usage: bench/run.sh BUILD [--short]}
here=$(dirname "$0")
ninja -C "$build" signloop bench/pipeline_bench bench/nn_bench bench/store_bench >/dev/null
[ -n "${SHORT:-}" ] && set -- "$build" --short
exec python3 "$here/run.py" "$@"
