// Package mysqldb opens MySQL-protocol clusters (MariaDB, MySQL 8, Aurora MySQL) with safe settings:
// it finds the primary among a cluster's nodes, refuses settings under which money could be lost,
// applies numbered migrations, prints the rights each role needs, and is the one place where this
// driver's errors become codes.
//
// # Invariants
//
//   - Connections are bounded: at most [Config.MaxConns] for writing, for reading, and 1 for
//     migrations, to each node, however many databases (shards) live there. Nobody keeps one: who
//     needs one takes it for a batch or a statement and gives it back.
//   - A node is taken for the primary only if it takes writes and no other node that answers does.
//   - The primary was checked ([Refusals]) before the first write of this process to it.
//   - Every session has the same settings, whatever the server's defaults: strict mode, READ
//     COMMITTED, a short wait for locks, and the character set binary, so that bytes are stored as
//     they are.
//
// # Not guaranteed
//
//   - Which of several nodes is the primary: whoever promotes one (Aurora, Orchestrator, MaxScale,
//     an operator) decides, and fences the old one. Two writable nodes are refused, not arbitrated.
package mysqldb
