//go:build !cgo

package sqldb

import (
	"path/filepath"
	"testing"
)

// TestCachesAreSeparate reads pages and finds none of them in the cache that all connections share.
func TestCachesAreSeparate(t *testing.T) {
	t.Parallel()
	db, err := Open(filepath.Join(t.TempDir(), "a.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Write.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT"); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := db.Read.QueryRow("SELECT COUNT(*) FROM t").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if pageCaches.FisInit != 1 || pageCaches.FseparateCache != 1 {
		t.Fatalf("initialised %d, separate %d, want 1 and 1: has the driver another name for its caches?", pageCaches.FisInit, pageCaches.FseparateCache)
	}
	if n := pageCaches.Fgrp.FnPurgeable; n != 0 {
		t.Errorf("%d pages in the shared cache, want none", n)
	}
}
