package freeport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are looked for below those that outgoing connections get.
const (
	lowest = 10_000
	count  = 20_000
	tries  = 100
)

// Find returns a port of the loopback address that nobody listens on.
func Find(ctx context.Context) (int, error) {
	var l net.ListenConfig
	var err error
	for range tries {
		port := lowest + rand.IntN(count) // #nosec: any free one will do
		var taken net.Listener
		if taken, err = l.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, taken.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}
