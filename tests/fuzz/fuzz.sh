#!/bin/bash
# Builds the fuzzers with clang and runs each for SECONDS (default 300), from the corpora, the catalog and the
# guides' examples. What breaks a check is left in build/fuzz/findings/; minimise it with
#   build/fuzz/fuzzers/FUZZER -minimize_crash=1 -runs=100000 FILE
# fix what it found and put it into tests/fuzz/corpus/, which every build's tests replay.
#
# usage: tests/fuzz/fuzz.sh [SECONDS [FUZZER...]]
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-300}
if [[ ! $seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "tests/fuzz/fuzz.sh: expected seconds, found '$seconds'" >&2
  exit 2
fi
shift || true
fuzzers=("$@")
if [[ ${#fuzzers[@]} -eq 0 ]]; then
  fuzzers=(space_parser lowering network_graph campaign_file trainer_protocol checkpoint)
fi

declare -A corpora=(
  [space_parser]=spaces [lowering]=spaces [network_graph]=graphs [campaign_file]=campaigns
  [trainer_protocol]=trainer_lines [checkpoint]=checkpoints
)

cmake --preset fuzz > /dev/null
ninja -C build/fuzz fuzzers
mkdir -p build/fuzz/findings

failed=()
for fuzzer in "${fuzzers[@]}"; do
  corpus=${corpora[$fuzzer]:?no such fuzzer: $fuzzer}
  # What is new goes to the first folder, which stays for the next run.
  mkdir -p "build/fuzz/corpora/$fuzzer"
  folders=("build/fuzz/corpora/$fuzzer" "tests/fuzz/corpus/$corpus")
  if [[ -d build/fuzz/tests/fuzz/seeds/$corpus ]]; then folders+=("build/fuzz/tests/fuzz/seeds/$corpus"); fi
  dictionary=()
  if [[ -f tests/fuzz/$corpus.dict ]]; then dictionary=("-dict=tests/fuzz/$corpus.dict"); fi
  echo "== $fuzzer, $seconds s"
  # A file of the largest size that is read, and what an instrumented build takes for the slowest of them.
  "build/fuzz/fuzzers/${fuzzer}_fuzzer" -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$fuzzer-" "${dictionary[@]}" "${folders[@]}" \
    > "build/fuzz/$fuzzer.log" 2>&1 || failed+=("$fuzzer")
  grep -E '^stat::number_of_executed_units|cov:' "build/fuzz/$fuzzer.log" | tail -2
done

if [[ ${#failed[@]} -gt 0 ]]; then
  echo "found something: ${failed[*]}; see build/fuzz/findings/ and build/fuzz/FUZZER.log" >&2
  exit 1
fi
