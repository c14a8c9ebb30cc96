#!/usr/bin/env bash
# For machines whose own Python is too old to read the machine profiles: print the name of this machine and, a line
# each, the modules that its profile loads (nothing where no profile fits, or it loads none). With them a Python is
# there, and profiles.py, which alone reads profiles in full, decides what the environment stands on.
#
# It reads lists of strings below [identify] and [environment], no more, and asks like profiles.py in this order:
# $AMBS_MACHINE, $SYSTEMNAME, /etc/FZJ/systemname, host name.
set -euo pipefail

repository="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
directories=("${XDG_CONFIG_HOME:-${HOME:-}/.config}/ambs/machines" "$repository/templates/machines")  # the user's first

list() {  # list <machine> <section> <key>: the strings, a line each, of the first profile that has them
  local directory found
  for directory in "${directories[@]}"; do
    [[ -r "$directory/$1.toml" ]] || continue
    found="$(awk -v section="[$2]" -v key="$3" '
      function take(rest,   quote, size) {  # prints what the line holds of the list
        while (1) {
          sub(/^[[:blank:],]+/, "", rest)
          quote = substr(rest, 1, 1)
          if (quote != "\"" && quote != "\047") { if (quote != "" && quote != "#") inside = 0; return }
          size = index(substr(rest, 2), quote) - 1
          if (size < 0) { inside = 0; return }
          print substr(rest, 2, size)
          rest = substr(rest, size + 3)
        }
      }
      inside { take($0); next }
      /^[[:blank:]]*\[/ { here = ($1 == section); next }
      here && $0 ~ "^[[:blank:]]*" key "[[:blank:]]*=[[:blank:]]*\\[" { inside = 1; sub(/^[^[]*\[/, ""); take($0) }
    ' "$directory/$1.toml")"
    if [[ -n "$found" ]]; then
      printf '%s\n' "$found"
      return
    fi
  done
}

answer() {  # answer <machine>: say what its profile loads, and end
  local modules
  modules="$(list "$1" environment modules)"
  [[ -z "$modules" ]] || printf '%s\n' "$1" "$modules"
  exit 0
}

machines=()
for directory in "${directories[@]}"; do
  for file in "$directory"/*.toml; do
    [[ ! -r "$file" ]] || machines+=("$(basename "$file" .toml)")
  done
done
[[ -z "${AMBS_MACHINE:-}" ]] || answer "$AMBS_MACHINE"
written=""
[[ ! -r /etc/FZJ/systemname ]] || read -r written </etc/FZJ/systemname || true
for name in "${SYSTEMNAME:-}" "$written"; do
  [[ -n "$name" ]] || continue
  for machine in "${machines[@]}"; do
    if list "$machine" identify systemname | grep -xF -e "$name" >/dev/null; then answer "$machine"; fi
  done
done
host="$(uname -n)"
for machine in "${machines[@]}"; do
  while IFS= read -r pattern; do
    pattern="${pattern//\\d/[0-9]}"  # bash does not know \d
    if [[ -n "$pattern" ]] && [[ "$host" =~ $pattern || "${host%%.*}" =~ $pattern ]]; then answer "$machine"; fi
  done < <(list "$machine" identify hostname)
done
