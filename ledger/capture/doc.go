// Package capture reads shards' logs from the binlogs of the MySQL-protocol servers that keep them,
// for relays. It implements stream.Log over another one, the books: what follows a stream's end
// comes from the binlog while that is at hand, and from the books' tables otherwise.
//
// One connection to a server's binlog serves all shards there: hundreds of shards are one dump
// thread and not hundreds. Rows are routed by database and table, found by column name, and
// decoded only if somebody wants them.
//
// # Invariants
//
//   - What a relay gets is the log without gap or repetition: batches are joined by sequence,
//     wherever each came from.
//   - A batch is handed over only when the books say that it is committed. A binlog shows a commit
//     before a semi-synchronous replica has it; such a commit can still be lost with its server.
//   - A position of the binlog is noted only at the end of a DBTx; an interrupted DBTx is dropped
//     and comes again as a whole.
//   - Memory is bounded for each shard, however large a DBTx is and however slow the relay: what
//     does not fit is read from the tables when it is wanted.
//   - One slow or stopped relay does not hold up the others of its server for longer than a moment.
//
// # Going on
//
// Each message of a stream carries the position after its last batch, and a relay that starts gives
// it back. The reader starts at the oldest position of its shards. A shard whose stream has none is
// joined by a watermark: the binlog's end is noted first, then the table is read up to its head, and
// what the binlog then repeats is skipped. Where the binlog was purged beyond a shard's position
// [PurgedError] stops that shard's relay, unless a new snapshot is allowed: the same join, slowly.
//
// # Not guaranteed
//
//   - That a batch comes from the binlog: after trouble it may come from the tables.
//   - Records of rows that were copied from another shard: they were published there.
package capture
