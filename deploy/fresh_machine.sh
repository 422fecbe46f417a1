#!/usr/bin/env bash
# Makes a bare Debian system in a folder and runs one of Canopy's first commands there, as a new user.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: sudo deploy/fresh_machine.sh bookworm|trixie [quickstart|test|shell] [options] [-- ARGUMENTS...]

Makes a minimal system of that Debian release with debootstrap, with git, sudo and ca-certificates and an
ordinary user who may use sudo, clones this checkout's HEAD there and runs deploy/quickstart.sh (the
default) or deploy/test.sh as that user, with ARGUMENTS. Prints the status and the elapsed time, and
removes the folder.

`shell` opens the system that an earlier --keep left in the folder, as it stands, and runs ARGUMENTS as a
command there, or a shell.

  --folder DIR   where the system lies (default: /var/tmp/canopy-fresh/RELEASE); made anew, except by shell
  --keep         leave the folder
  --mirror URL   the Debian mirror (default: the one that this machine's apt uses)
  --help         this text

Downloaded packages are kept in /var/cache/canopy-fresh-machine, so that the next run downloads nothing.
TEXT
}

fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  if (($#)); then printf '       %s\n' "$@" >&2; fi
  exit 1
}

release='' action=quickstart folder='' keep=0 mirror='' arguments=()
while (($#)); do
  case $1 in
    bookworm | trixie) release=$1 ;;
    quickstart | test | shell) action=$1 ;;
    --folder | --mirror)
      (($# > 1)) || fail "$1 takes a value; see --help"
      if [[ $1 == --folder ]]; then folder=$(realpath --canonicalize-missing -- "$2"); else mirror=$2; fi
      shift
      ;;
    --keep) keep=1 ;;
    --help) usage; exit ;;
    --) shift; arguments=("$@"); break ;;
    *) fail "unknown argument '$1'; see --help" ;;
  esac
  shift
done
[[ -n $release ]] || fail 'name the release: bookworm or trixie'
[[ $(id -u) -eq 0 ]] || fail 'debootstrap and chroot take root: run this with sudo'
for tool in debootstrap unshare chroot git; do
  command -v "$tool" >/dev/null || fail "$tool is missing" 'apt-get install debootstrap util-linux git'
done
[[ -e /usr/share/debootstrap/scripts/$release ]] ||
  fail "this debootstrap does not know $release" 'Upgrade the package debootstrap.'

checkout=$(realpath -- "$(dirname -- "${BASH_SOURCE[0]}")/..")
folder=${folder:-/var/tmp/canopy-fresh/$release}
cache=/var/cache/canopy-fresh-machine/$release
marker=.canopy-fresh-machine
user=newcomer
project=canopy

# repositories: "LABEL URL" of each archive of Debian that this machine's apt uses.
repositories() {
  # shellcheck disable=SC2016 # apt-get expands these
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sort --unique
}

# apt_configuration: how this machine's apt reaches its archives (proxy, certificates, date checks).
apt_configuration() {
  apt-config dump | grep -E '^Acquire::(https?|Check-Valid-Until|Check-Date|Retries)\b' || true
  local scheme variable
  for scheme in http https; do
    variable=${scheme}_proxy
    if [[ -n ${!variable:-} ]]; then printf 'Acquire::%s::Proxy "%s";\n' "$scheme" "${!variable}"; fi
  done
}

# remove_system: removes the folder, and nothing that this script did not make. No mount of ours is
# visible here: they belong to the namespace of the processes inside and end with it.
remove_system() {
  if [[ ! -e $folder ]]; then return; fi
  [[ -e $folder/$marker ]] || fail "$folder exists and was not made by this script" 'Give another --folder.'
  rm -rf --one-file-system -- "$folder"
}

make_system() {
  local main security
  main=${mirror:-$(repositories | sed -n 's/^Debian //p' | head -n 1)}
  security=$(repositories | sed -n 's/^Debian-Security //p' | head -n 1)
  [[ -n $main ]] || fail "this machine's apt names no Debian mirror" 'Give one with --mirror URL.'

  echo "Making a bare $release in $folder"
  mkdir -p "$folder" "$cache"
  touch "$folder/$marker"
  debootstrap --variant=minbase --include=ca-certificates,git,sudo "--cache-dir=$cache" \
    "$release" "$folder" "$main" >"$folder/debootstrap.log" 2>&1 || {
    tail -n 5 "$folder/debootstrap.log" >&2
    fail 'debootstrap failed' "$folder/debootstrap.log has all it said." \
         "Does it miss the release's key: upgrade the package debian-archive-keyring."
  }

  {
    echo "deb $main $release main"
    echo "deb $main $release-updates main"
    if [[ -n $security ]]; then echo "deb $security $release-security main"; fi
  } >"$folder/etc/apt/sources.list"
  apt_configuration >"$folder/etc/apt/apt.conf.d/10host"
  local path
  while read -r path; do
    if [[ -f $path ]]; then install -D -m 644 "$path" "$folder$path"; fi
  done < <(sed -n 's/^[^"]*"\(\/[^"]*\)";$/\1/p' "$folder/etc/apt/apt.conf.d/10host")
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$folder/usr/local/share/ca-certificates/"
    chroot "$folder" update-ca-certificates >/dev/null 2>&1
  fi
  cp --dereference /etc/resolv.conf /etc/hosts /etc/hostname "$folder/etc/"

  chroot "$folder" useradd --create-home --shell /bin/bash "$user"
  echo "$user ALL=(ALL) NOPASSWD: ALL" >"$folder/etc/sudoers.d/$user"
  chmod 440 "$folder/etc/sudoers.d/$user"
}

# as_user COMMAND...: runs it in the system, in its user's home.
as_user() {
  chroot "$folder" setpriv --reuid="$user" --regid="$user" --init-groups \
    env -i HOME="/home/$user" USER="$user" LOGNAME="$user" SHELL=/bin/bash TERM="${TERM:-dumb}" \
    LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin \
    bash -c 'cd && "$@"' bash "$@"
}

clone_project() {
  echo "Cloning $(git -C "$checkout" rev-parse --short HEAD)"
  if [[ -n $(git -C "$checkout" status --porcelain) ]]; then
    echo 'Uncommitted changes of this checkout are not part of it.'
  fi
  git -C "$checkout" bundle create --quiet "$folder/tmp/project.bundle" HEAD
  as_user git -c advice.detachedHead=false -c init.defaultBranch=main clone --quiet /tmp/project.bundle "$project"
}

# inside: what happens in the namespaces of its own; when its process ends, all the others do.
inside() {
  trap 'exit 130' INT TERM
  if [[ $action != shell ]]; then make_system; fi
  mount -t proc proc "$folder/proc"
  mount -t sysfs -o ro sysfs "$folder/sys"
  mount -t devpts devpts "$folder/dev/pts"
  mount -t tmpfs tmpfs "$folder/dev/shm"
  mkdir -p "$cache"
  mount --bind "$cache" "$folder/var/cache/apt/archives"

  if [[ $action == shell ]]; then
    if ((${#arguments[@]} == 0)); then arguments=(bash -i); fi
    as_user "${arguments[@]}"
    return
  fi
  clone_project
  echo "Running deploy/$action.sh ${arguments[*]}"
  as_user "$project/deploy/$action.sh" "${arguments[@]}" </dev/null
}

if [[ ${CANOPY_FRESH_MACHINE_INSIDE:-0} -eq 1 ]]; then
  inside
  exit
fi

if [[ $action == shell ]]; then
  [[ -e $folder/$marker ]] || fail "no system lies in $folder" "Make one: $0 $release --keep --folder $folder"
  keep=1
else
  remove_system
fi
options=("$release" "$action" --folder "$folder")
if [[ -n $mirror ]]; then options+=(--mirror "$mirror"); fi
# Ctrl-C ends what runs inside; the folder is still removed here.
trap : INT
status=0
CANOPY_FRESH_MACHINE_INSIDE=1 unshare --mount --pid --fork --kill-child --propagation private \
  -- "${BASH_SOURCE[0]}" "${options[@]}" -- "${arguments[@]}" || status=$?
if [[ $keep -eq 0 ]]; then remove_system; fi
if [[ $action != shell ]]; then
  printf '\nfresh %s %s: status %d after %d s\n' "$release" "$action" "$status" "$SECONDS"
fi
exit "$status"
