#!/usr/bin/env bash
# Set the base target directory of this user: where data, models and results go. The generator then offers it.
#
#     source setup_runscript_templates.sh [<base_target_dir>]
#
# It is kept in ${XDG_CONFIG_HOME:-~/.config}/ambs/settings.toml. For bash and zsh; may be executed as well.
# shellcheck shell=bash

_ambs_set_base_dir() (
  default=/p/project/deepacf/deeprain/video_prediction_shared_folder/
  settings="${XDG_CONFIG_HOME:-$HOME/.config}/ambs/settings.toml"
  base="${1:-$default}"
  refuse() {
    printf 'ERROR: %s: %s\n' "$1" "$2" >&2
    exit 2
  }
  if [ $# -gt 1 ]; then
    refuse "setup_runscript_templates.sh" "more than one directory is given; type: source setup_runscript_templates.sh <base_target_dir>"
  fi
  case "$base" in
    -*) refuse "$base" "is no directory; type: source setup_runscript_templates.sh <base_target_dir>" ;;
    *[[:cntrl:]]*) refuse "<base_target_dir>" "holds a newline or another control character; give another directory" ;;
    /*) ;;
    *) base="$PWD/$base" ;;
  esac
  if [ $# -gt 0 ]; then
    if ! mkdir -p -- "$base" 2>/dev/null || [ ! -w "$base" ]; then
      refuse "$base" "cannot be made or written; give another directory"
    fi
  elif ! { [ -d "$base" ] || mkdir -- "$base" 2>/dev/null; }; then  # the default is a directory at Juelich
    printf 'WARNING: %s cannot be made on this machine; give another one: source setup_runscript_templates.sh <base_target_dir>\n' "$base" >&2
  fi
  if [ -d "$base" ]; then
    base="$(CDPATH='' cd -- "$base" && pwd)"
  fi
  quoted="$(printf '%s' "$base" | sed 's/\\/\\\\/g; s/"/\\"/g')"
  if ! { mkdir -p -- "$(dirname -- "$settings")" 2>/dev/null \
      && printf '# written by setup_runscript_templates.sh\nbase_dir = "%s"\n' "$quoted" 2>/dev/null >"$settings.part" \
      && mv -f -- "$settings.part" "$settings"; }; then
    refuse "$settings" "cannot be written; free some space, or set XDG_CONFIG_HOME to a directory that you may write to"
  fi
  printf 'base target directory: %s (kept in %s)\nnext: python generate_runscript.py\n' "$base" "$settings"
)

_ambs_set_base_dir "$@"
# the function goes, its exit code stays
eval "unset -f _ambs_set_base_dir; (exit $?)"
