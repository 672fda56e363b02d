#!/usr/bin/env bash
# Generates everything again in a copy of the tree and fails on any difference, so that generated
# files are what their sources say. The tree itself stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard -- '*.templ' '*_templ.go' |
	while IFS= read -r -d '' file; do
		if [ -e "$file" ]; then
			mkdir -p "$copy/$(dirname "$file")"
			cp "$file" "$copy/$file"
		fi
	done
go tool templ generate -path "$copy/web" -log-level error
different=0
while IFS= read -r -d '' file; do
	name=${file#"$copy"/}
	if ! cmp -s "$file" "$name"; then
		echo "verify: $name is not what its source generates; run 'make gen' and commit" >&2
		different=1
	fi
done < <(find "$copy" -name '*_templ.go' -print0)
exit $different
