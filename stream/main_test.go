package stream_test

import (
	"fmt"
	"os"
	"testing"

	"matchday/internal/natsnode"
)

func TestMain(m *testing.M) {
	if isNode, err := natsnode.Main(); isNode {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
