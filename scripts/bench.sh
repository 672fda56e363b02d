#!/usr/bin/env bash
# Measures the figures of docs/bench, one after the other on an otherwise quiet machine, and writes the
# JSON of each into the folder given (default out/bench). It takes about an hour; names of figures
# after the folder run only those: scripts/bench.sh out/bench ledger payout
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-out/bench}
shift || true
wanted=("$@")
program=${MATCHDAY:-bin/matchday}
mkdir -p "$out"

# figure NAME ARGUMENTS... runs one command unless others were asked for.
figure() {
	local name=$1
	shift
	if [ ${#wanted[@]} -gt 0 ] && ! [[ " ${wanted[*]} " == *" $name "* ]]; then
		return
	fi
	echo "bench: $name: matchday $*" >&2
	"$program" "$@" --json >"$out/$name.json.part" 2>"$out/$name.log"
	mv "$out/$name.json.part" "$out/$name.json"
}

figure ledger bench ledger --runs 5 --seconds 5
figure ledger-mysql bench ledger --engine mysql --runs 5 --seconds 5
figure ledger-baseline bench ledger --baseline --runs 5 --seconds 5
figure ledger-scale bench ledger --scale --runs 5 --seconds 5
figure ledger-scale-mysql bench ledger --scale --engine mysql --runs 1 --seconds 5
figure month bench month
figure replicas bench replicas --runs 5 --seconds 5
figure bets bench bets --runs 5
figure reads bench reads --runs 5 --seconds 5
figure payout bench payout
figure history bench history --runs 5
figure faults faults
