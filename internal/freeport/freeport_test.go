package freeport_test

import (
	"fmt"
	"net"
	"testing"

	"matchday/internal/freeport"
)

func TestAFoundPortCanBeListenedOn(t *testing.T) {
	t.Parallel()
	var problem error
	for range 10 { // somebody else may have taken one meanwhile
		port, err := freeport.Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var l net.ListenConfig
		listener, err := l.Listen(t.Context(), "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
			return
		}
		problem = err
	}
	t.Errorf("no port was free: %v", problem)
}
