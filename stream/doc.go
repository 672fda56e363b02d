// Package stream carries the facts of the platform from the shard logs to everybody else: records,
// positions in a log, relays that publish a log to a durable stream, and sinks that project a
// stream into a database exactly once. The stream is a JetStream server in the process, a NATS cluster or
// a Kafka cluster; relays and sinks do not know which.
//
// Invariants:
//   - A shard's log is a gapless sequence from 1; a batch covers First..Last of it without a hole.
//   - A sink stores the log position, never a stream's own offset, in the same DBTx
//     as its data. So a stream can be lost and republished and no sink notices.
//   - A batch is published at least once and applied exactly once.
//
// Not guaranteed: any order between shards.
package stream
