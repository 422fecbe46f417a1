#!/usr/bin/env bash
# Installs what Canopy needs, builds its programs and runs a real search on Fashion-MNIST.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: deploy/quickstart.sh [options]

Installs Debian's packages, builds the programs into build/release/bin and searches for the best small
network on Fashion-MNIST. Run again, it builds nothing and goes on with the same search.

  --yes            do not ask before installing packages
  --dry-run        say what would be installed and built, and change nothing
  --data DIR       the folder with Fashion-MNIST's four idx files, instead of Debian's package
  --libtorch DIR   an unpacked LibTorch or the folder of Python's torch wheel, instead of Debian's package
  --duration TIME  how long to search, such as 5m (default: 10m)
  --help           this text
TEXT
}

assume_yes=0 dry_run=0 data='' libtorch='' duration=''
while (($#)); do
  case $1 in
    --yes) assume_yes=1 ;;
    --dry-run) dry_run=1 ;;
    --data | --libtorch | --duration)
      (($# > 1)) || { echo "error: $1 takes a value; see --help" >&2; exit 2; }
      case $1 in
        --data) data=$(realpath --canonicalize-missing -- "$2") ;;
        --libtorch) libtorch=$(realpath --canonicalize-missing -- "$2") ;;
        --duration) duration=$2 ;;
      esac
      shift
      ;;
    --help) usage; exit ;;
    *) echo "error: unknown option '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/setup.sh
source deploy/setup.sh
step_count=3
build=build/release

require_libtorch "$libtorch"
if [[ -n $duration && ! $duration =~ ^[0-9]+[smhd]$ ]]; then
  die "--duration: expected a time such as 90s, 10m, 2h or 1d, found '$duration'"
fi
known_libtorch=
if [[ -e $build/build.ninja ]]; then
  known_libtorch=$(sed -n 's/^CANOPY_LIBTORCH:PATH=//p' "$build/CMakeCache.txt")
fi
if [[ -n $data ]]; then
  for name in train-images train-labels t10k-images t10k-labels; do
    compgen -G "$data/$name*-ubyte*" >/dev/null ||
      die "--data: $data holds no file $name-idx*-ubyte" \
          'Give the folder with the four idx files of Fashion-MNIST, .gz or not.'
  done
fi

if [[ ! -x $build/bin/canopy ]]; then
  require_compile_memory
  require_disk "$build" 1500 'the programs'
fi

step 'Packages'
packages=("${program_packages[@]}")
# What was built with another LibTorch stays with it.
if [[ -z $libtorch$known_libtorch ]]; then packages+=("${torch_packages[@]}"); fi
if [[ -z $data ]]; then packages+=("${dataset_packages[@]}"); fi
install_packages "$dry_run" "${packages[@]}"

step 'Build'
if [[ $dry_run -eq 1 ]]; then
  echo "Would build canopy and canopy-trainer into $build/bin with $(compile_jobs) compile jobs."
  step 'Search'
  echo "Would run: $build/bin/canopy run deploy/quickstart/fashion-macro.yaml"
  exit
fi
if [[ ! -e $build/build.ninja || -n $libtorch && $libtorch != "$known_libtorch" ]]; then
  options=()
  # Tests that were built here before stay.
  if [[ ! -e $build/build.ninja ]]; then options+=(-DCANOPY_TESTS=OFF); fi
  cmake --preset release -U 'CanopyTorch_*' "-DCANOPY_LIBTORCH=$libtorch" "${options[@]}" >/dev/null
fi
ninja -C "$build" -j "$(compile_jobs)" canopy canopy-trainer

step 'Search'
command=("$build/bin/canopy" run deploy/quickstart/fashion-macro.yaml)
if [[ -n $duration ]]; then command+=(--set "budget.duration=$duration"); fi
if [[ -n $data ]]; then command+=(--data "fashion-mnist=$data"); fi
printf '%q ' "${command[@]}"
printf '\n\n'
exec "${command[@]}"
