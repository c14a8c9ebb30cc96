# Make the environment, or take the one that is there, and activate it. For bash and zsh, from any directory:
#
#     source env_setup/create_env.sh <env_name> [--dev]
#
# The work is done by make_env.sh in a process of its own, so that a failure changes nothing in this shell.
# shellcheck shell=bash

_ambs_sourced=no
_ambs_here=""
if [ -n "${ZSH_VERSION:-}" ]; then
  case "${ZSH_EVAL_CONTEXT:-}" in *file*) _ambs_sourced=yes ;; esac
  eval '_ambs_here="${(%):-%x}"'  # bash cannot read this
elif [ -n "${BASH_VERSION:-}" ]; then
  [ "${BASH_SOURCE[0]}" = "$0" ] || _ambs_sourced=yes
  _ambs_here="${BASH_SOURCE[0]}"
fi
if [ "$_ambs_sourced" = no ]; then
  echo "ERROR: create_env.sh: cannot activate an environment when executed; type: source env_setup/create_env.sh <env_name> (bash or zsh)" >&2
  exit 2
fi

_ambs_here="$(CDPATH='' cd -- "$(dirname -- "$_ambs_here")" && pwd -P)"
_ambs_code=0
bash "$_ambs_here/make_env.sh" "$@" || _ambs_code=$?
if [ "$_ambs_code" -eq 0 ]; then
  _ambs_env="$(bash "$_ambs_here/make_env.sh" --where "$@")"
  if [ -s "$_ambs_env/ambs-modules" ]; then
    # Lmod bears neither unset variables nor the end of the shell at the first code that is not 0
    _ambs_options=""
    case $- in *u*) set +u; _ambs_options="${_ambs_options}u" ;; esac
    case $- in *e*) set +e; _ambs_options="${_ambs_options}e" ;; esac
    module --force purge
    while IFS= read -r _ambs_module; do
      module load "$_ambs_module" || _ambs_code=2
    done <"$_ambs_env/ambs-modules"
    unset PYTHONPATH  # modules set it, and it goes before what is installed in the environment
    if [ -n "$_ambs_options" ]; then set "-$_ambs_options"; fi
    unset _ambs_module _ambs_options
  fi
  if [ "$_ambs_code" -ne 0 ]; then
    echo "ERROR: module: the modules of $_ambs_env could not all be loaded into this shell; start a login shell, and there create_env.sh again" >&2
  else
    if [ -e "$_ambs_env/ambs-container" ]; then
      export PYTHONNOUSERSITE=1  # the home directory is mounted, and its packages are for another Python
    fi
    # shellcheck disable=SC1091
    . "$_ambs_env/bin/activate"
  fi
  unset _ambs_env
fi
unset _ambs_sourced _ambs_here
# the last command's code is what source returns; the variable goes before
eval "unset _ambs_code; return $_ambs_code"
