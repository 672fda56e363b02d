package api

import (
	"net/http"
	"testing"

	"matchday/ledger"
)

// TestReadinessIsAboutShardsThatCanBeWritten: a process serves as long as some shard can be written; none
// is not ready.
func TestReadinessIsAboutShardsThatCanBeWritten(t *testing.T) {
	t.Parallel()
	ok, down := ledger.ShardStatus{Shard: 0}, ledger.ShardStatus{Shard: 1, Trouble: "no node is a primary at 10.1.0.11"}
	for _, tt := range []struct {
		name   string
		shards []ledger.ShardStatus
		status int
		text   string
	}{
		{"all can", []ledger.ShardStatus{ok, ok}, http.StatusOK, "ready"},
		{"one cannot, and why is not for everybody", []ledger.ShardStatus{ok, down}, http.StatusOK, "ready\nshard 1 cannot be written"},
		{"none can", []ledger.ShardStatus{down}, http.StatusServiceUnavailable, "no shard can be written"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if status, text := readiness(tt.shards); status != tt.status || text != tt.text {
				t.Errorf("got %d %q, want %d %q", status, text, tt.status, tt.text)
			}
		})
	}
}
