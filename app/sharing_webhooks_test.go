package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"matchday/api"
	"matchday/client"
	"matchday/id"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger"
	"matchday/notify"
)

// childConfig names the variable that tells a child process of TestWebhooksOutliveAProcess what to run.
const childConfig = "MATCHDAY_APP_CHILD"

// child is a process of the whole program.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	key  string
	gone chan struct{}
}

// startChild runs this test binary as a process with the configuration.
func startChild(t *testing.T, test string, c Config) *child {
	t.Helper()
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "matchday.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &child{t: t, cmd: exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.count=1"), gone: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childConfig+"="+file)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan []string, 1)
	go func() {
		defer close(p.gone)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if words := strings.Fields(lines.Text()); len(words) == 3 && words[0] == "ready" {
				ready <- words[1:]
			}
		}
		_ = p.cmd.Wait() // killed
	}()
	t.Cleanup(p.kill)
	select {
	case words := <-ready:
		p.url, p.key = words[0], words[1]
	case <-p.gone:
		t.Fatal("the process ended before it was ready")
	}
	return p
}

// kill ends the process as a power cut would.
func (p *child) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// runChild is the child process.
func runChild(t *testing.T, file string) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute) // should the parent die
	defer cancel()
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-a.Ready()
		fmt.Println("ready", a.BaseURL(), a.Secrets.ServiceKey)
	}()
	t.Fatal(a.Run(ctx))
}

// call sends a request, again while the process says that it cannot answer now.
func (p *child) call(method, path string, in, out any) {
	p.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		p.t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(20 * time.Millisecond) {
		request, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, bytes.NewReader(body))
		if err != nil {
			p.t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+p.key)
		if in != nil {
			request.Header.Set("Content-Type", "application/json")
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			p.t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode == http.StatusServiceUnavailable && time.Now().Before(deadline) {
			continue
		}
		if err == nil && response.StatusCode < 300 && out != nil {
			err = json.Unmarshal(text, out)
		}
		if err != nil || response.StatusCode >= 300 {
			p.t.Fatalf("%s %s: %s %s (%v)", method, path, response.Status, text, err)
		}
		return
	}
}

// delivers returns for how many shards the process delivers webhooks.
func (p *child) delivers() (n int) {
	p.t.Helper()
	response, err := http.Get(p.url + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "matchday_stream_held_sinks_count{") && strings.Contains(line, `"webhooks-`) && strings.HasSuffix(line, " 1") {
			n++
		}
	}
	return n
}

// deposit commits a player's nth transfer, with a record that says which it is.
func (p *child) deposit(player string, n int) {
	p.t.Helper()
	p.call("POST", "/v1/ledger/transfers", map[string]any{
		"key": fmt.Sprintf("%s-%d", player, n), "kind": "deposit", "player_id": player, "jurisdiction": "US-NJ", "currency": "USD",
		"postings": []map[string]string{
			{"account": "psp/sandbox/US-NJ", "amount": "-5.00"},
			{"account": "player/" + player + "/US-NJ/cash", "amount": "5.00"},
		},
		"record": map[string]any{"type": "shop.deposit", "subject": strconv.Itoa(n), "data": map[string]int{"n": n}},
	}, nil)
}

// hooked is a receiver that holds every request up until it is opened.
type hooked struct {
	*httptest.Server
	open chan struct{}

	mu    sync.Mutex
	cut   int // requests whose sender went away
	heard map[string][]int
	ids   map[string]string // of deliveries, by event
}

func newHooked(t *testing.T, secret func() string) *hooked {
	h := &hooked{open: make(chan struct{}), heard: map[string][]int{}, ids: map[string]string{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender died in the middle
		}
		event, err := client.VerifyWebhook(secret(), r.Header.Get(client.HeaderSignature), body, time.Now())
		if err != nil {
			t.Errorf("verify: %v", err)
		}
		if !h.note(t, event, r.Header.Get(client.HeaderDelivery)) {
			return
		}
		select {
		case <-h.open:
		case <-r.Context().Done():
			h.mu.Lock()
			defer h.mu.Unlock()
			h.cut++
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// note keeps what came, before it is answered.
func (h *hooked) note(t *testing.T, event client.Event, delivery string) bool {
	n, err := strconv.Atoi(event.Subject)
	if err != nil {
		t.Errorf("subject %q: %v", event.Subject, err)
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard[event.Player] = append(h.heard[event.Player], n)
	if was, again := h.ids[event.ID]; again && was != delivery {
		t.Errorf("event %s came as delivery %s and %s", event.ID, was, delivery)
	}
	h.ids[event.ID] = delivery
	return true
}

// events returns how many different ones came, and how many requests were cut off.
func (h *hooked) events() (came, cut int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ids), h.cut
}

// startWebhookProcesses starts two processes over the same books and the same webhooks, and waits until each has half of the
// shards.
func startWebhookProcesses(t *testing.T, test string) (first, second *child) {
	t.Helper()
	server := mariadb.Shared(t)
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(mariadb.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{
		Listen: "127.0.0.1:0", Roles: []string{"ledger-api", "webhooks"}, GeneratedAccess: AccessOn,
		Ledger: ledger.Config{Dir: filepath.Join(dir, "books"), Shards: 4, InternalListen: "127.0.0.1:0", Lease: 600 * time.Millisecond},
		Webhooks: notify.Config{Allow: []string{"127.0.0.0/8"}, Timeout: time.Minute, Cluster: mysqldb.Config{
			Nodes: []string{server.Addr()}, Database: server.Database(t), User: mariadb.User, PasswordFile: password}},
	}
	processes := make([]*child, 2)
	for n := range processes {
		c.Data = t.TempDir()
		processes[n] = startChild(t, test, c)
	}
	for _, p := range processes { // half of the shards each
		for deadline := time.Now().Add(2 * time.Minute); p.delivers() != 2; <-time.After(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("a process delivers for %d shards of 4, want 2", p.delivers())
			}
		}
	}
	return processes[0], processes[1]
}

// TestWebhooksOutliveAProcess kills one of two processes with deliveries of its shards under way. The other one takes its
// shards over, and sends everything: each event under the id it had, each player's in order.
func TestWebhooksOutliveAProcess(t *testing.T) {
	if file := os.Getenv(childConfig); file != "" {
		runChild(t, file)
		return
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: starts a database server and processes")
	}
	first, second := startWebhookProcesses(t, "TestWebhooksOutliveAProcess")
	var secret string
	h := newHooked(t, func() string { return secret })
	var made api.WebhookSecret
	first.call("POST", "/v1/operator/webhooks", api.WebhookRequest{URL: h.URL, Types: []string{"shop.*"}}, &made)
	secret = made.Secret
	one := "/v1/operator/webhooks/" + made.Webhook.ID
	first.call("POST", one+"/pause", nil, nil) // so that each process begins with as many as it sends at once
	const players, before, after = 24, 3, 2
	names, ids := make([]string, players), id.NewSource(time.Now)
	for i := range names {
		names[i] = string(ids.NewPlayer())
		for n := range before {
			[]*child{first, second}[(i+n)%2].deposit(names[i], n)
		}
	}
	var list api.List[api.Webhook]
	for deadline := time.Now().Add(2 * time.Minute); len(list.Items) != 1 || list.Items[0].Queued != players*before; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not queued: %+v", list.Items)
		}
		second.call("GET", "/v1/operator/webhooks", nil, &list)
	}
	second.call("POST", one+"/resume", nil, nil)
	wait := func(what string, is func(came, cut int) bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Minute); !is(h.events()); <-time.After(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				came, cut := h.events()
				t.Fatalf("not within minutes: %s (%d events, %d requests cut off)", what, came, cut)
			}
		}
	}
	wait("requests of both processes", func(came, _ int) bool { return came >= 9 }) // one alone has 8 under way at most
	first.kill()
	wait("the end of its requests", func(_, cut int) bool { return cut > 0 })
	close(h.open)
	for _, name := range names {
		for n := range after {
			second.deposit(name, before+n)
		}
	}
	wait("every event", func(came, _ int) bool { return came == players*(before+after) })
	list = api.List[api.Webhook]{}
	second.call("GET", "/v1/operator/webhooks", nil, &list)
	if len(list.Items) != 1 || list.Items[0].ID != made.Webhook.ID || list.Items[0].Dead != 0 {
		t.Errorf("subscriptions %+v, want the one that was made at the process that is gone", list.Items)
	}
	h.check(t, names, before+after)
}

// check looks at what each player's events were: every one came, none before the one before it had.
func (h *hooked) check(t *testing.T, names []string, each int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, numbers := range h.heard {
		newest := -1
		for _, n := range numbers {
			if n > newest+1 {
				t.Errorf("%s hears %v: %d before %d", name, numbers, n, newest+1)
			}
			newest = max(newest, n)
		}
		if newest != each-1 || !slices.Contains(names, name) {
			t.Errorf("%s hears %v", name, numbers)
		}
	}
}
