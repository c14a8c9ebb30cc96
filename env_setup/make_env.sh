#!/usr/bin/env bash
# Make virtual_envs/<env_name> from the lock files, unless it is there and up to date. Called by create_env.sh.
#
#     make_env.sh <env_name> [--dev]            --dev: with what the tests need
#     make_env.sh --where <env_name> [--dev]    only print its path
#
# Inside a container (Apptainer) it makes an environment on top of the image's packages: docs/containers.md.
set -euo pipefail

here="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)"
repository="$(dirname -- "$here")"
needed_mb=4000  # TensorFlow and the rest take 2.6 GB, and the downloads as much again for a moment

fail() {  # what is wrong; what to do
  printf 'ERROR: %s\n' "$1" >&2
  exit 2
}

name="" where=no dev=no
for word in "$@"; do
  case "$word" in
    --dev) dev=yes ;;
    --where) where=yes ;;
    -*) fail "create_env.sh: unknown option '$word'; type: source env_setup/create_env.sh <env_name> [--dev]" ;;
    *) [[ -z "$name" ]] || fail "create_env.sh: '$word' is one word too many; type: source env_setup/create_env.sh <env_name> [--dev]"
       name="$word" ;;
  esac
done
[[ -n "$name" ]] || fail "create_env.sh: no name is given; type: source env_setup/create_env.sh <env_name>"
[[ "$name" =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || fail "create_env.sh: '$name' cannot be the name of an environment; use letters, digits, '.', '_' and '-'"
environment="$repository/virtual_envs/$name"
if [[ $where == yes ]]; then
  printf '%s\n' "$environment"
  exit 0
fi

# An active environment must not be taken for the machine's Python.
if [[ -n "${VIRTUAL_ENV:-}" ]]; then
  PATH="$(printf ':%s:' "$PATH" | sed "s|:$VIRTUAL_ENV/bin:|:|g; s|^:||; s|:\$||")"
  unset VIRTUAL_ENV
fi
unset PYTHONHOME PYTHONPATH  # the second goes before what is installed in the environment

find_python() {
  local candidate
  for candidate in python3 python3.11 python3.12 python3.13; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      python="$candidate"
      return
    fi
  done
  return 1
}

load_modules() {  # load_modules <machine> <modules, a line each>
  local init one
  if ! type module >/dev/null 2>&1; then
    for init in "${LMOD_PKG:-}/init/bash" "${MODULESHOME:-}/init/bash" /etc/profile.d/modules.sh; do
      # shellcheck disable=SC1090
      if [[ -r "$init" ]]; then set +u; source "$init"; set -u; break; fi
    done
  fi
  type module >/dev/null 2>&1 || fail "module: the machine '$1' loads modules, but there is no module command; start a login shell, or set AMBS_MACHINE=laptop"
  set +u  # Lmod does not bear it
  module --force purge || true  # load says whether it went well
  while IFS= read -r one; do
    module load "$one" || fail "module $one: cannot be loaded; see module spider ${one%%/*}, and correct the profile '$1' (docs/machines.md)"
  done <<<"$2"
  set -u
  unset PYTHONPATH  # modules set it
}

of_this_machine() {  # what the environment stands on: Python, modules, lock files
  local found where="is no Python 3.11, 3.12 or 3.13 here"
  if ! find_python; then
    found="$("$here/early_modules.sh")"
    if [[ -n "$found" ]]; then
      machine="${found%%$'\n'*}"
      echo "python3: too old to read the profiles of machines, trying the modules of '$machine'"
      load_modules "$machine" "${found#*$'\n'}"
      where="is no Python 3.11, 3.12 or 3.13 in the modules of '$machine' either"
    fi
    find_python \
      || fail "python3: there $where; install one (Debian: apt-get install python3 python3-venv), or load a module with one (module load Python), and start again"
  fi
  found="$("$python" -B "$repository/video_prediction_tools/config_runscripts/generate_runscript.py" machines --modules)" \
    || exit 2  # it has said why
  read -r machine gpus <<<"$found"
  [[ "$found" != *$'\n'* ]] || modules="${found#*$'\n'}"
  echo "machine: $machine"
  if [[ -n "$modules" ]]; then
    load_modules "$machine" "$modules"
    find_python \
      || fail "python3: there is no Python 3.11, 3.12 or 3.13 in the modules of '$machine'; correct its profile (docs/machines.md)"
  fi
  locks=("$here/requirements.lock")
  if [[ -n "$gpus" || -e /proc/driver/nvidia/version ]] || command -v nvidia-smi >/dev/null; then gpus=yes; fi
  gpus="${AMBS_GPU:-${gpus:-no}}"
  if [[ $gpus != yes ]]; then
    remark="no graphics card is known here, TensorFlow comes without CUDA; AMBS_GPU=yes adds it"
  elif [[ "$(uname -m)" == x86_64 ]]; then
    locks+=("$here/requirements-gpu.lock")
    needed_mb=$((needed_mb + 5000))
  else
    remark="the packages of TensorFlow for $(uname -m) know no graphics cards; train in a container (docs/containers.md)"
  fi
}

of_this_image() {  # the same inside a container: its Python and its TensorFlow, and what goes with them
  [[ "$image" == /* ]] || fail "$image: the container was not started from a file; make one (apptainer pull) and start that (docs/containers.md)"
  [[ $dev == no ]] || fail "create_env.sh: --dev does not go inside a container; leave it out"
  command -v python3 >/dev/null || fail "$image: holds no Python; take another image (docs/containers.md)"
  machine=container
  python=python3
  export PYTHONNOUSERSITE=1  # the home directory is mounted, and its packages are for another Python
  unset PIP_CONSTRAINT       # NVIDIA's images pin with it what has nothing to do with TensorFlow
  constraints="$(mktemp)"
  trap 'rm -f "$constraints"' EXIT
  python3 -B "$here/check_image.py" --constraints "$constraints" || exit 2  # it has said why
  python3 -c 'import pip, venv' 2>/dev/null || fail "$image: its Python cannot make environments (no pip, or no venv); take another image (docs/containers.md)"
  locks=("$here/requirements.in" "$constraints")
  needed_mb=1500  # TensorFlow is there
  echo "container: $image (TensorFlow $(sed -n 's/^tensorflow==//p' "$constraints"))"
}

machine="" modules="" gpus="" remark=""
image="${APPTAINER_CONTAINER:-${SINGULARITY_CONTAINER:-}}"
if [[ -n "$image" ]]; then of_this_image; else of_this_machine; fi

stamp="$("$python" -VV | tr '\n' ' ')$repository $machine ${image:+$image }${modules//$'\n'/ } $(cat "${locks[@]}" "$repository/pyproject.toml" | cksum)"
stamp_file="$environment/ambs-stamp"
wanted="$stamp"
if [[ $dev == yes ]]; then
  locks+=("$here/requirements-dev.lock")
  stamp_file="$environment/ambs-stamp-dev"
  wanted="$stamp $(cksum <"$here/requirements-dev.lock")"
fi
mkdir -p "$repository/virtual_envs" 2>/dev/null || fail "$repository/virtual_envs: cannot be made; clone to a directory that you may write to"
if command -v flock >/dev/null; then
  exec 9>"$repository/virtual_envs/.$name.lock"
  flock -n 9 || { echo "waiting for another create_env.sh $name to end"; flock 9; }
fi

made_in=""  # the image, where the environment was made inside a container
[[ ! -r "$environment/ambs-container" ]] || made_in="$(<"$environment/ambs-container")"
if [[ -e "$environment/pyvenv.cfg" && "$made_in" != "$image" && ! "$made_in" -ef "$image" ]]; then
  [[ -z "$made_in" ]] || fail "$environment: was made inside the container $made_in; start create_env.sh in that, or give another name"
  fail "$environment: was made outside of a container; give another name"
fi
if [[ -r "$stamp_file" && "$(cat "$stamp_file")" == "$wanted" ]] \
  && "$environment/bin/python" -c 'import video_prediction_tools' 2>/dev/null; then
  echo "environment: $environment (up to date)"
  exit 0
fi

uv=""  # in a container it would not see the image's packages
if [[ -z "$image" ]] && command -v uv >/dev/null && uv --version >/dev/null 2>&1; then uv=uv; fi
if [[ -e "$environment" && ! -e "$environment/pyvenv.cfg" && -n "$(ls -A "$environment")" ]]; then
  fail "$environment: is there and is no virtual environment; move it away, or give another name"
fi
if [[ -z "$uv$image" ]] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
  fail "$python: cannot make environments (no ensurepip); install it (Debian: apt-get install python$version-venv)"
fi
free_mb="$(df -Pm "$repository/virtual_envs" | awk 'NR == 2 { print $4 }')"
if [[ ! -e "$environment/pyvenv.cfg" && "$free_mb" =~ ^[0-9]+$ && "$free_mb" -lt "${AMBS_NEEDED_MB:-$needed_mb}" ]]; then
  fail "$repository/virtual_envs: no space ($free_mb MB free, ${AMBS_NEEDED_MB:-$needed_mb} MB needed); free some, or clone to another disk"
fi

log="$repository/virtual_envs/$name.log"
: >"$log" || fail "$log: cannot be written; free some space, or clone to a directory that you may write to"

logged() {  # run a command into the log, saying from time to time that it still runs
  local start=$SECONDS code=0 next=15
  "$@" >>"$log" 2>&1 9>&- &
  local child=$!
  trap 'kill "$child" 2>/dev/null || true; exit 130' INT TERM
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.3
    if ((SECONDS - start >= next)); then
      echo "  $((SECONDS - start)) s"
      next=$((next + 15))
    fi
  done
  wait "$child" || code=$?
  trap - INT TERM
  [[ $code -eq 0 ]] || explain_failure
}

explain_failure() {
  tail -n 5 "$log" | sed 's/^/  /' >&2
  if grep -qiE 'no space left|errno 28|disk quota' "$log"; then
    fail "$environment: no space left; free some (also in ${TMPDIR:-/tmp}) and start again, what is installed is kept"
  elif grep -qiE 'resolutionimpossible|conflicting dependencies' "$log"; then
    fail "$environment: the packages do not go with TensorFlow ${image:+of $image }and what it needs; see $log, then take another image"
  elif grep -qiE 'temporary failure in name|network is unreachable|connection (refused|timed out|reset)|max retries|dns error|no matching distribution|could not find a version' "$log"; then
    fail "$environment: the packages could not be fetched; check the network (proxy, package index) and start again, what is installed is kept"
  fi
  fail "$environment: could not be made; see $log, then start again"
}

inside="$environment/bin/python"
if ! "$inside" -c '' 2>/dev/null; then
  echo "environment: making $environment with $("$python" -V)"
  if [[ -n "$image" ]]; then
    logged "$python" -m venv --clear --system-site-packages --without-pip "$environment"
    printf '%s\n' "$image" >"$environment/ambs-container"
  elif [[ -n "$uv" ]]; then
    logged uv venv --seed --allow-existing --python "$(command -v "$python")" "$environment"
  else
    logged "$python" -m venv --clear "$environment"
  fi
fi
rm -f "$environment"/ambs-stamp*
requirements=()
for lock in "${locks[@]}"; do requirements+=(-r "$lock"); done
echo "environment: installing packages (some minutes the first time; log: $log)"
[[ -z "$remark" ]] || echo "environment: $remark"
pip=("$inside" -m pip install --disable-pip-version-check --no-input)
if [[ -n "$image" ]]; then
  # were TensorFlow not seen from here, pip would install one of its own
  "$inside" -B "$here/check_image.py" --tensorflow || exit 2
  logged "${pip[@]}" "${requirements[@]}"
  logged "${pip[@]}" --no-deps -e "$repository"
  "$inside" -B "$here/check_image.py" || exit 2
elif [[ -n "$uv" ]]; then
  logged uv pip install --python "$inside" --require-hashes --compile-bytecode "${requirements[@]}"
  logged uv pip install --python "$inside" --no-deps --no-build-isolation -e "$repository"
else
  "$inside" -m pip --version >/dev/null 2>&1 || logged "$inside" -m ensurepip
  logged "${pip[@]}" --require-hashes "${requirements[@]}"
  logged "${pip[@]}" --no-deps --no-build-isolation -e "$repository"
fi
printf '%s' "${modules:+$modules$'\n'}" >"$environment/ambs-modules"
printf '%s\n' "$wanted" >"$stamp_file"
printf '%s\n' "$stamp" >"$environment/ambs-stamp"  # what the tests need holds what all need
echo "environment: $environment (ready, $SECONDS s)"
