// Package natsnode runs a cluster of NATS JetStream servers on this machine, each in a process of its own,
// for tests and fault runs: nodes are killed, stopped, woken and started again on their folders.
//
// A node is this same program started again, so [Main] belongs at the very beginning of a program, or of
// a TestMain, that starts clusters.
//
// Invariants:
//   - Nodes listen on the loopback address only, and die with the process that started them.
//   - Every node flushes each message to its disk before it acknowledges it.
//
// Not guaranteed: anything for production. There the operator runs nats-server.
package natsnode
