#!/usr/bin/env bash
# Makes a Go module in the folder $1 with a parser of MySQL 8's grammar, which Matchday does not depend on, and has a
# test of the ledger read with it every statement that MariaDB was sent. Where the module proxy cannot be reached it
# says so and succeeds: the suite is optional.
set -euo pipefail
PARSER=v0.0.0-20260504140133-511dba1dbe17
dir=${1:?usage: mysql-grammar.sh FOLDER}

skip() { echo "test-clients: skipped: $1"; exit 0; }

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cp ledger/testdata/mysqlgrammar.go.txt "$dir/main.go"
printf 'module grammar\n\ngo 1.26\n' >"$dir/go.mod"
(cd "$dir" && "${GO:-go}" get "github.com/pingcap/tidb/pkg/parser@$PARSER" && GOFLAGS=-mod=mod "${GO:-go}" build -o grammar .) ||
	skip "the parser could not be fetched (see above)"
MATCHDAY_MYSQL_GRAMMAR=$dir "${GO:-go}" test -count=1 -v -timeout 15m -run TestEveryStatementIsMySQLToo ./ledger
