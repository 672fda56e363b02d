package stream

import "github.com/nats-io/nats.go/jetstream"

// JetStreamForTest returns the administration of the embedded server.
func JetStreamForTest(e *Embedded) jetstream.JetStream { return e.transport.js }
