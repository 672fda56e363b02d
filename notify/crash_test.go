package notify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// crashDir and crashURL tell a child process of TestKilledSender where to keep its data and where to
// deliver to.
const (
	crashDir = "MATCHDAY_NOTIFY_CRASH_DIR"
	crashURL = "MATCHDAY_NOTIFY_CRASH_URL"
)

const (
	crashRecords = 400
	crashPlayers = 7
)

// TestKilledSender kills a process that queues and delivers, again and again: every record must reach
// the receiver, and those of one player in order.
func TestKilledSender(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		deliverUntilKilled(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("starts and kills processes: left out with -short")
	}
	t.Parallel()
	r := newReceiver(t)
	heard := make(chan struct{}, 100_000)
	r.answers(func(received) int {
		heard <- struct{}{}
		return http.StatusNoContent
	})
	dir := t.TempDir()
	distinct := func() int {
		seen := map[string]bool{}
		for _, one := range r.all() {
			seen[one.event.Subject] = true
		}
		return len(seen)
	}
	for round := 0; ; round++ {
		if round > 20 {
			t.Fatalf("%d of %d records after %d killed senders", distinct(), crashRecords, round)
		}
		kill := startSender(t, dir, r.URL)
		deadline := time.After(5 * time.Minute)
		// The first ones are killed in the middle of their deliveries, the last one when all are there.
		for wanted := 40 + 10*round; ; wanted-- {
			if distinct() == crashRecords || wanted == 0 && round < 5 {
				break
			}
			select {
			case <-heard:
			case <-deadline:
				t.Fatalf("%d of %d records, and no more within minutes", distinct(), crashRecords)
			}
		}
		kill()
		if distinct() == crashRecords {
			t.Logf("%d requests for %d records over %d killed senders", len(r.all()), crashRecords, round+1)
			break
		}
	}
	newest := map[id.Player]int{}
	for _, one := range r.all() {
		n, err := strconv.Atoi(one.event.Subject)
		if err != nil {
			t.Fatal(err)
		}
		// A repeated one may come again, an older one never after a younger one was first heard of.
		if last := newest[one.event.Player]; n > last+crashPlayers {
			t.Errorf("player %s hears of %d after %d: one between was not sent before it", one.event.Player, n, last)
		}
		newest[one.event.Player] = max(newest[one.event.Player], n)
	}
}

// startSender runs a child until the function it returns is called, which kills it.
func startSender(t *testing.T, dir, url string) (kill func()) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledSender$", "-test.count=1")
	child.Env = append(os.Environ(), crashDir+"="+dir, crashURL+"="+url)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() != "ready" {
				t.Errorf("child: %s", lines.Text())
			}
		}
	}()
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		_ = child.Process.Kill()
		<-ended
		var exit *exec.ExitError
		if err := child.Wait(); err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
	}
	t.Cleanup(kill)
	return kill
}

// deliverUntilKilled is the child. Its log is the same in every life, as a ledger's would be; its
// stream and database are those that the one before left behind.
func deliverUntilKilled(t *testing.T, dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute) // should the parent die
	defer cancel()
	quiet, now := slog.New(slog.DiscardHandler), clock.System{}
	streams, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(dir, "streams")}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	log := streamtest.NewLog(1)
	known, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	if len(known) > 0 { // in the first life records come after the subscription: it is to what commits from then on
		appendCrashRecords(log)
	}
	s, err := Open(ctx, Config{Dir: dir, Allow: []string{"127.0.0.0/8"}}, Deps{Clock: now, Log: quiet,
		Metrics: prometheus.NewRegistry(), Transport: streams.Transport(), Source: log})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.List(ctx)
	if err == nil && len(list) == 0 {
		_, _, err = s.Subscribe(ctx, NewSubscription{URL: os.Getenv(crashURL), Types: []string{"*"}, CreatedBy: "test"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(known) == 0 {
		appendCrashRecords(log)
	}
	relay, err := stream.NewRelay(log, 0, streams.Transport(), stream.Deps{Clock: now, Log: quiet, Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = relay.Run(ctx) }()
	fmt.Println("ready")
	t.Fatal(s.Run(ctx))
}

func appendCrashRecords(log *streamtest.Log) {
	for i := 1; i <= crashRecords; i++ {
		log.Append(0, start.Add(time.Duration(i)*time.Second), 0, stream.Record{Type: "matchday.bet.placed", Subject: strconv.Itoa(i),
			Player: id.Player(fmt.Sprintf("p%d", i%crashPlayers)), Jurisdiction: "US-NJ", Data: json.RawMessage(`{}`)})
	}
}
