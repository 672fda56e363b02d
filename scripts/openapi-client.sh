#!/usr/bin/env bash
# Makes a Go module in the folder $1 with oapi-codegen, a generator of clients that Matchday does not depend on, and has
# a test of room api generate a client from the served document, compile it and move money with it. Where the module
# proxy cannot be reached it says so and succeeds: the suite is optional.
set -euo pipefail
GENERATOR=v2.8.2
RUNTIME=v1.8.0
dir=${1:?usage: openapi-client.sh FOLDER}

skip() { echo "test-clients: skipped: $1"; exit 0; }

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [ ! -e "$dir/oapi-codegen" ]; then
	echo "test-clients: fetching oapi-codegen $GENERATOR"
	GOBIN=$dir "${GO:-go}" install "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@$GENERATOR" ||
		skip "oapi-codegen could not be fetched (see above)"
fi
printf 'module client\n\ngo 1.26\n' >"$dir/go.mod"
(cd "$dir" && "${GO:-go}" get "github.com/oapi-codegen/runtime@$RUNTIME") || skip "its runtime could not be fetched (see above)"
MATCHDAY_OPENAPI_CLIENT=$dir "${GO:-go}" test -count=1 -v -timeout 15m -run TestAGeneratedClient ./api
