package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"matchday/errs"
	"matchday/player"
)

// The bounds of profiles.
const (
	profileSeconds    = 10       // of a profile over a time, if the caller does not say
	maxProfileSeconds = 60       // the longest
	maxTraceBytes     = 64 << 20 // an execution trace ends early when it is this long
	mutexEvery        = 10       // one of so many waits for a mutex is noted, while a mutex profile runs
	blockEvery        = 10_000   // nanoseconds of blocking for each event that is noted, while a block profile runs
)

// profileKinds are the profiles of the Go runtime that can be asked for.
var profileKinds = []string{"allocs", "block", "cpu", "goroutine", "heap", "mutex", "trace"}

// profileRoutes show what the process itself does. A profile slows everybody down a little and names
// functions, so nobody has the right to one unless it is given: staff need the role admin and every
// jurisdiction, services a key with `profiles: true`.
func (a *API) profileRoutes() []route {
	params := []param{{name: "seconds", doc: "How long to watch, 1 to 60, of cpu, block, mutex and trace; 10 if absent", example: "10"}}
	detail := "Kind is one of " + strings.Join(profileKinds, ", ") + ". The answer is a file for `go tool pprof`, of trace for `go tool trace`. " +
		"One at a time: another is answered conflict. Block and mutex profiles add up what was seen in all of them since the start of the process."
	return []route{
		{method: "GET", path: "/v1/operator/profiles/{kind}", id: "operator-profile", tag: "Running", who: whoStaff, role: player.RoleAdmin, params: params,
			streams: "application/octet-stream", summary: "A profile of this process",
			detail: detail + " Only for accounts that are cleared for every jurisdiction.", end: answering(a.profile)},
		{method: "GET", path: "/v1/ledger/profiles/{kind}", id: "profile", tag: "Ledger", who: whoService, params: params,
			streams: "application/octet-stream", summary: "A profile of this process",
			detail: detail + " Only for keys with `profiles: true`.", end: answering(a.profile)},
	}
}

// profiling is true while a profile is taken. The runtime has one profiler of each kind for all of the
// process, so this is the process's too, not an API's.
var profiling atomic.Bool

// mayProfile returns nil if the caller was given the right to profiles.
func (c *call) mayProfile() error {
	if c.caller.service == nil {
		return c.mayActEverywhere()
	}
	return needs(c.caller.service.profiles, "profiles", "")
}

// profile answers with one profile, and says in the log who took it.
func (a *API) profile(ctx context.Context, c *call) error {
	if err := c.mayProfile(); err != nil {
		return err
	}
	kind := c.r.PathValue("kind")
	if !slices.Contains(profileKinds, kind) {
		return errs.New(errs.CodeNotFound, "there is no such kind of profile")
	}
	watch, err := c.profileTime(kind)
	if err != nil {
		return err
	}
	if !profiling.CompareAndSwap(false, true) {
		return errs.New(errs.CodeConflict, "another profile is being taken")
	}
	a.log.InfoContext(ctx, "profile taken", "kind", kind, "watch", watch, "by", c.reader(), "request_id", c.requestID)
	writer := http.NewResponseController(c.w)
	_ = writer.SetWriteDeadline(a.deps.Clock.Now().Add(watch + exportStall)) // the server's is for ordinary answers
	body, err := func() ([]byte, error) {
		defer profiling.Store(false) // before the answer: whoever has it may ask for the next
		return takeProfile(kind, func(full <-chan struct{}) error { return a.watch(ctx, watch, full) })
	}()
	if err != nil {
		return fmt.Errorf("profile %s: %w", kind, err)
	}
	h := c.w.Header()
	h["Cache-Control"] = noStore
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+kind+`.pprof"`)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(c.status)
	_, _ = c.w.Write(body)                   // the caller has gone: nobody is left to tell
	_ = writer.SetWriteDeadline(time.Time{}) // the connection lives on
	return nil
}

// profileTime reads seconds, which only profiles over a time have.
func (c *call) profileTime(kind string) (time.Duration, error) {
	text := c.query.Get("seconds")
	switch kind {
	case "allocs", "goroutine", "heap":
		if text != "" {
			return 0, invalidField("query.seconds", "is for cpu, block, mutex and trace: %s shows a moment", kind)
		}
		return 0, nil
	}
	if text == "" {
		return profileSeconds * time.Second, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxProfileSeconds {
		return 0, invalidField("query.seconds", "is not a number from 1 to %d", maxProfileSeconds)
	}
	return time.Duration(n) * time.Second, nil
}

// watch waits while a profile is collected. A caller who has gone, or a process that ends, ends it.
func (a *API) watch(ctx context.Context, d time.Duration, full <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-full:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-a.closing:
		return errs.New(errs.CodeUnavailable, "this process is about to end")
	}
}

// takeProfile collects one profile. What is switched on for it is off again when it returns.
func takeProfile(kind string, wait func(full <-chan struct{}) error) ([]byte, error) {
	out := &boundedBuffer{full: make(chan struct{})}
	var err error
	switch kind {
	case "cpu":
		if err := pprof.StartCPUProfile(out); err != nil {
			return nil, errs.Wrap(err, errs.CodeConflict, "a CPU profile is being taken by another part of the process")
		}
		err = wait(out.full)
		pprof.StopCPUProfile()
	case "trace":
		if err := trace.Start(out); err != nil {
			return nil, errs.Wrap(err, errs.CodeConflict, "a trace is being taken by another part of the process")
		}
		err = wait(out.full)
		trace.Stop()
	case "mutex":
		before := runtime.SetMutexProfileFraction(mutexEvery)
		err = wait(out.full)
		runtime.SetMutexProfileFraction(before)
	case "block":
		runtime.SetBlockProfileRate(blockEvery)
		err = wait(out.full)
		runtime.SetBlockProfileRate(0)
	}
	if err != nil {
		return nil, err
	}
	if p := pprof.Lookup(kind); p != nil {
		err = p.WriteTo(out, 0)
	}
	return out.Bytes(), err
}

// boundedBuffer keeps a profile until it is whole, and tells when a trace should end. It takes what
// comes after that too, which is little: a trace that is cut off in the middle cannot be read.
type boundedBuffer struct {
	bytes.Buffer
	full chan struct{}
	once sync.Once
}

var _ io.Writer = (*boundedBuffer)(nil)

// Write implements io.Writer.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTraceBytes {
		b.once.Do(func() { close(b.full) })
	}
	return b.Buffer.Write(p)
}
