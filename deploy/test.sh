#!/usr/bin/env bash
# Installs what the tests need, builds everything and runs every test through one CTest run.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: deploy/test.sh [options]

  --yes            do not ask before installing packages
  --sanitizers     build and run the tests under AddressSanitizer and ThreadSanitizer too
  --tabular DIR    the folder with nas_bench_201.csv and the other tables; without it their tests skip
  --libtorch DIR   an unpacked LibTorch or the folder of Python's torch wheel, instead of Debian's package
  --jobs N         compile jobs, and tests at a time (default: one a core, and 2 GB of memory for each)
  --help           this text

Ends with CTest's summary, and with a status other than 0 when anything failed.
TEXT
}

assume_yes=0 sanitizers=0 tabular='' libtorch='' jobs=''
while (($#)); do
  case $1 in
    --yes) assume_yes=1 ;;
    --sanitizers) sanitizers=1 ;;
    --tabular | --libtorch | --jobs)
      (($# > 1)) || { echo "error: $1 takes a value; see --help" >&2; exit 2; }
      case $1 in
        --tabular) tabular=$(realpath --canonicalize-missing -- "$2") ;;
        --libtorch) libtorch=$(realpath --canonicalize-missing -- "$2") ;;
        --jobs) jobs=$2 ;;
      esac
      shift
      ;;
    --help) usage; exit ;;
    *) echo "error: unknown option '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done
if [[ -n $jobs && ! $jobs =~ ^[1-9][0-9]*$ ]]; then
  echo "error: --jobs takes a positive number, not '$jobs'" >&2
  exit 2
fi

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/setup.sh
source deploy/setup.sh
presets=(release)
if [[ $sanitizers -eq 1 ]]; then presets+=(asan tsan); fi
step_count=$((2 + ${#presets[@]}))

if [[ -n $tabular && ! -d $tabular ]]; then die "--tabular: there is no folder $tabular"; fi

require_libtorch "$libtorch"
require_compile_memory
require_disk build $((1500 * ${#presets[@]})) 'the programs and tests'

step 'Packages'
packages=("${program_packages[@]}" "${dataset_packages[@]}" "${test_packages[@]}")
if [[ -z $libtorch ]]; then packages+=("${torch_packages[@]}"); fi
install_packages 0 "${packages[@]}"

if [[ -z $jobs ]]; then jobs=$(compile_jobs); fi
for preset in "${presets[@]}"; do
  step "Build $preset"
  cmake --preset "$preset" -U 'CanopyTorch_*' "-DCANOPY_LIBTORCH=$libtorch" -DCANOPY_TESTS=ON >/dev/null
  ninja -C "build/$preset" -j "$jobs"
done

# One CTest run over all builds, so that its summary counts every test.
step 'Tests'
mkdir -p build/tests
{
  printf '# Written by deploy/test.sh.\n'
  printf 'subdirs("../%s")\n' "${presets[@]}"
} >build/tests/CTestTestfile.cmake
if [[ -n $tabular ]]; then export CANOPY_TABULAR_DATA=$tabular; fi
exec ctest --test-dir build/tests --parallel "$jobs" --output-on-failure --no-tests=error
