//go:build !cgo

package sqldb

import (
	"database/sql/driver"
	"sync"
	_ "unsafe" // for go:linkname

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// pageCaches is SQLite's own state of all page caches, which the driver's package keeps to itself.
//
//go:linkname pageCaches modernc.org/sqlite/lib._pcache1_g
var pageCaches sqlite3.TPCacheGlobal

// separateCaches gives every connection that it opens a page cache of its own, as SQLite does
// unless it is built with SQLITE_ENABLE_MEMORY_MANAGEMENT. The driver's build is, for a function that frees
// pages of all connections and that nobody calls here. Then all connections of the process share one
// list of pages under one lock: two shards that write and the projections that read wait for one another at
// every page, and for as long as one of them walks its cache after a page split.
//
// There is no setting for it. Were the name to change with another version of the driver, the caches would be
// shared as before, and TestCachesAreSeparate would fail.
type separateCaches struct{ driver.Driver }

var separate = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	defer tls.Close()
	if sqlite3.Xsqlite3_initialize(tls) == sqlite3.SQLITE_OK && pageCaches.FisInit == 1 {
		pageCaches.FseparateCache = 1
	}
})

// Open implements driver.Driver.
func (d separateCaches) Open(name string) (driver.Conn, error) {
	separate()
	return d.Driver.Open(name)
}
