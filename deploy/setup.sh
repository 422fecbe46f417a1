# shellcheck shell=bash
# What quickstart.sh and test.sh share: progress, packages, and how much this machine can compile at
# once. Sourced with `set -euo pipefail` in force, in the project's root.

# shellcheck source=deploy/packages.sh
source deploy/packages.sh

# Ninja reads this: progress with the seconds since the build began.
export NINJA_STATUS='[%f/%t, %e s] '

# die TEXT...: ends the script with what is missing and what to do about it.
die() {
  printf '\nerror: %s\n' "$1" >&2
  shift
  if (($#)); then printf '       %s\n' "$@" >&2; fi
  exit 1
}

# step TITLE: the heading of the next step of step_count. Says how long the step before it took.
step_number=0
step_count=0 # set by the script
step_title=
step_began=0
step() {
  step_end
  step_number=$((step_number + 1))
  step_title=$1
  step_began=$SECONDS
  printf '\n[%d/%d] %s\n' "$step_number" "$step_count" "$step_title"
}

step_end() {
  if [[ -n $step_title ]]; then
    printf '      %s: %d s (%d s in all)\n' "$step_title" $((SECONDS - step_began)) "$SECONDS"
  fi
  step_title=
}

# missing_packages NAME...: prints those that are not installed, one a line.
missing_packages() {
  dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
    awk -v wanted="$*" '
      $2 == "installed" { have[$1] = 1 }
      END { n = split(wanted, name, " "); for (i = 1; i <= n; i++) if (!(name[i] in have)) print name[i] }
    ' || true
}

# apt_plan SCRATCH NAME...: prints what apt-get would download and install, as apt-get words it. Reads
# today's package lists into the folder SCRATCH, so it needs no rights and changes nothing.
apt_plan() {
  local scratch=$1 plan said
  shift
  mkdir -p "$scratch/partial"
  local options=(-o Debug::NoLocking=true -o "Dir::State::lists=$scratch" -o Dir::Cache::pkgcache=
                 -o Dir::Cache::srcpkgcache= -o "APT::Sandbox::User=$(id -un)")
  said=$(LC_ALL=C apt-get "${options[@]}" update -qq -o APT::Update::Error-Mode=any 2>&1) || {
    grep '^[EW]:' <<<"$said" >&2
    return 1
  }
  plan=$(LC_ALL=C apt-get "${options[@]}" install --print-uris --yes --no-install-recommends "$@" 2>&1) || {
    grep '^E:' <<<"$plan" >&2
    return 1
  }
  printf '%s\n' "$plan"
}

# megabytes TEXT: apt-get's "1,234 MB" or "56.7 kB" as whole MB, rounded up.
megabytes() {
  awk -v text="$1" 'BEGIN {
    gsub(",", "", text); split(text, part, " ")
    scale = part[2] == "GB" ? 1000 : part[2] == "MB" ? 1 : 0.001
    printf "%d\n", part[1] * scale + 0.999
  }'
}

# require_disk FOLDER MB PURPOSE: ends the script when the file system of FOLDER has less room.
require_disk() {
  local folder=$1 needed=$2 purpose=$3 free
  while [[ ! -e $folder ]]; do folder=$(dirname "$folder"); done
  free=$(df --output=avail --block-size=1M "$folder" | tail -n 1)
  if ((free < needed)); then
    die "too little disk: $purpose need $needed MB in $folder, where $free MB are free" \
        "Free some space there and run the same command again."
  fi
}

# as_root COMMAND...: runs it as root, through sudo where the user is another.
as_root() {
  if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

# require_root_rights COMMAND: ends the script, naming the command to give to an administrator, when
# neither root nor sudo is at hand.
require_root_rights() {
  if [[ $(id -u) -eq 0 ]]; then return; fi
  if ! command -v sudo >/dev/null; then
    die "installing packages takes root, and this machine has no sudo" \
        "Run this as root, or have an administrator run:" "$1" "and run the same command again."
  fi
  if [[ ! -t 0 ]] && ! sudo -n true 2>/dev/null; then
    die "installing packages takes root, and sudo would ask for a password without a terminal" \
        "Run this in a terminal, or have an administrator run:" "$1" "and run the same command again."
  fi
}

# confirm QUESTION: asks on a terminal; goes on without one, or when assume_yes is 1.
confirm() {
  local answer
  if [[ ${assume_yes:-0} -eq 1 || ! -t 0 ]]; then return; fi
  read -r -p "$1 [Y/n] " answer || answer=n
  case $answer in
    '' | [Yy]*) ;;
    *) echo 'Nothing was changed.'; exit 1 ;;
  esac
}

# install_packages DRY_RUN NAME...: says which of them are missing and what they cost, asks, installs.
install_packages() {
  local dry_run=$1
  shift
  command -v apt-get >/dev/null || die "this script installs Debian's packages, and there is no apt-get here" \
    "docs/install.md says what to install on another system and how to build by hand."

  local missing
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then
    echo 'Every package is installed already.'
    return
  fi

  local scratch plan download installed
  scratch=$(mktemp -d)
  if ! plan=$(apt_plan "$scratch" "${missing[@]}"); then
    rm -rf "$scratch"
    die "apt-get cannot find the packages, or reaches no package server (its words stand above)" \
        "Canopy needs the network once, and Debian 12 (bookworm) or 13 (trixie) with the component main:" \
        "${missing[*]}"
  fi
  rm -rf "$scratch"
  download=$(sed -n 's/^Need to get \([^/]*B\)[ /].*/\1/p' <<<"$plan")
  installed=$(sed -n 's/^After this operation, \(.*B\) of additional disk space will be used.*/\1/p' <<<"$plan")
  printf 'Packages to install:\n'
  printf '%s\n' "${missing[*]}" | fold --spaces --width=90 | sed 's/^/    /'
  printf 'With what they depend on: %s to download, %s on disk.\n' "${download:-nothing}" "${installed:-0 B}"
  require_disk /usr $(($(megabytes "${installed:-0 MB}") + $(megabytes "${download:-0 MB}"))) 'the packages'
  if [[ $dry_run -eq 1 ]]; then return; fi

  local command=(apt-get install --yes --no-install-recommends "${missing[@]}")
  require_root_rights "${command[*]}"
  confirm 'Install them?'
  as_root apt-get update -qq || die 'apt-get update failed (its words stand above): is there a network?'
  local log=build/packages.log
  mkdir -p build
  as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C "${command[@]}" --quiet -o Dpkg::Use-Pty=0 2>"$log" |
    package_progress || {
    tail -n 5 "$log" >&2
    die "apt-get could not install the packages; $log has its words" \
        'When a download failed, run the same command again: it goes on where it stopped.'
  }
}

# package_progress: apt-get's output as counts, on one line that moves on a terminal.
package_progress() {
  local moving=0
  if [[ -t 1 ]]; then moving=1; fi
  awk -v moving="$moving" '
    function show() { printf "%s      %d downloaded, %d unpacked, %d set up, of %d%s",
                             moving ? "\r" : "", got, unpacked, set_up, total, moving ? "" : "\n"
                      fflush() }
    / newly installed,/ { total = $1 + $3 }
    /^Get:/ { got++ }
    /^Unpacking / { unpacked++ }
    /^Setting up / { set_up++ }
    /^(Get:|Unpacking |Setting up )/ { if (moving || (got + unpacked + set_up) % 100 == 0) show() }
    END { show(); if (moving) print "" }'
}

# require_libtorch FOLDER: ends the script when a folder was given and is no LibTorch.
require_libtorch() {
  if [[ -n $1 && ! -e $1/include/ATen/ATen.h ]]; then
    die "--libtorch: $1/include/ATen/ATen.h is missing" \
        "Give the folder of an unpacked LibTorch, or what this prints for Python's wheel:" \
        "python3 -c 'import torch; print(torch.__path__[0])'"
  fi
}

# cores: how many this process may use, by affinity and by the quota of its cgroup.
cores() {
  local count quota period path
  count=$(nproc)
  path=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/cpu.max
  if [[ -r $path ]] && read -r quota period <"$path" && [[ $quota != max ]]; then
    local allowed=$(((quota + period - 1) / period))
    if ((allowed < count)); then count=$allowed; fi
  fi
  echo "$count"
}

# free_memory_mb: memory and swap that can still be used, within the limit of this cgroup.
free_memory_mb() {
  local free folder limit used
  free=$(awk '/^(MemAvailable|SwapFree):/ { kb += $2 } END { print int(kb / 1024) }' /proc/meminfo)
  folder=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
  if [[ -r $folder/memory.max && -r $folder/memory.current ]]; then
    limit=$(<"$folder/memory.max")
    used=$(<"$folder/memory.current")
    if [[ $limit != max ]] && (((limit - used) / 1048576 < free)); then free=$(((limit - used) / 1048576)); fi
  fi
  echo "$free"
}

# compile_jobs: one a core, as far as the memory gives 2 GB to each, and never none.
compile_jobs() {
  local count memory_jobs
  count=$(cores)
  memory_jobs=$(($(free_memory_mb) / 2000))
  if ((memory_jobs < count)); then count=$memory_jobs; fi
  echo $((count > 0 ? count : 1))
}

# require_compile_memory: ends the script when not even one compile job has its 2 GB.
require_compile_memory() {
  local free
  free=$(free_memory_mb)
  if ((free < 2000)); then
    die "too little memory: compiling takes 2 GB for one job, and $free MB are free" \
        'Close programs or add swap, and run the same command again.'
  fi
}
