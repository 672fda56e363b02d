package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"matchday/internal/clock"
	"matchday/ledger"
)

// runningProcess is what a process writes into the lock of its data folder, for tools that ask it.
type runningProcess struct {
	PID    int    `json:"pid"`
	Host   string `json:"host"`
	Listen string `json:"listen"`
}

// introduce writes into the lock who holds it and where it listens. That is for people: if it cannot be
// written nothing else is wrong.
func (a *App) introduce() {
	host, _ := os.Hostname()
	text, err := json.Marshal(runningProcess{PID: os.Getpid(), Host: host, Listen: a.listener.Addr().String()})
	if err == nil && a.lock != nil && a.lock.Truncate(0) == nil {
		_, _ = a.lock.WriteAt(append(text, '\n'), 0)
	}
}

// findRunning returns the process that runs on the data folder, if there is one on this machine.
func findRunning(data string) (runningProcess, bool) {
	var p runningProcess
	text, err := os.ReadFile(filepath.Join(data, "lock"))
	if err != nil || json.Unmarshal(text, &p) != nil || p.PID <= 0 {
		return p, false
	}
	if host, _ := os.Hostname(); host != p.Host {
		return p, false
	}
	err = syscall.Kill(p.PID, 0) // asks whether it is there
	return p, err == nil || err == syscall.EPERM
}

// ListShards returns every shard as the directory, its own database and the process that writes it say. A
// part that is down costs its own entries only.
func ListShards(ctx context.Context, c Config) ([]ledger.ShardEntry, error) {
	c = c.withDefaults()
	list, err := ledger.ListShards(ctx, c.Ledger, clock.System{})
	if err != nil || c.Ledger.InternalListen != "" {
		return list, err
	}
	p, ok := findRunning(c.Data)
	if !ok {
		return list, nil // nobody writes: owners stay empty
	}
	relayed, err := p.relayed(ctx)
	for i := range list {
		list[i].Owner, list[i].Address = "pid "+strconv.Itoa(p.PID), p.Listen
		if seq, ok := relayed[list[i].Shard]; ok {
			list[i].Stream = &seq
		}
		if err != nil && list[i].Error == "" {
			list[i].Error = "the process does not answer: " + err.Error()
		}
	}
	return list, nil
}

// relayMetric is the metric that says how far a shard's stream has come.
const relayMetric = `matchday_stream_relay_position{shard="`

// relayed asks the process how far the streams of its shards have come.
func (p runningProcess) relayed(ctx context.Context) (map[int]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	host, port, err := net.SplitHostPort(p.Listen)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", p.Listen, err)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", p.Listen, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	out := map[int]int64{}
	lines := bufio.NewScanner(io.LimitReader(response.Body, 16<<20))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), relayMetric)
		if !ok {
			continue
		}
		label, value, _ := strings.Cut(rest, `"} `)
		shard, badLabel := strconv.Atoi(label)
		seq, badValue := strconv.ParseFloat(value, 64) // metrics have no other numbers
		if badLabel == nil && badValue == nil {
			out[shard] = int64(seq)
		}
	}
	return out, lines.Err()
}
