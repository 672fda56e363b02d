// Package lifecycle starts the parts of a process in the order of what they need and stops them in
// reverse. A part owns its goroutines: its Run returns only when they have.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Part is one long-lived piece of a process.
type Part struct {
	Name  string
	Needs []string // names of parts that must be open before this one opens

	// Open acquires what the part needs and returns quickly; nil if there is nothing to acquire.
	Open func(ctx context.Context) error
	// Run blocks until ctx is done and the part's work has ended; nil for a part that only holds
	// something open. An error stops the whole process.
	Run func(ctx context.Context) error
	// Close gives back what Open acquired; it is called after Run has returned, once, if Open
	// succeeded. May be nil.
	Close func() error
}

// Order returns the parts so that each comes after what it needs, otherwise in the given order.
// Unknown and repeated names and cycles are errors.
func Order(parts []Part) ([]Part, error) {
	byName := map[string]Part{}
	for _, p := range parts {
		if _, twice := byName[p.Name]; twice {
			return nil, fmt.Errorf("part %s is listed twice", p.Name)
		}
		byName[p.Name] = p
	}
	var ordered []Part
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string, path []string) error
	visit = func(name string, path []string) error {
		p, known := byName[name]
		switch {
		case !known:
			return fmt.Errorf("part %s needs %s, which is not here", path[len(path)-1], name)
		case state[name] == done:
			return nil
		case state[name] == visiting:
			return fmt.Errorf("parts need each other: %s", strings.Join(append(path, name), " -> "))
		}
		state[name] = visiting
		for _, need := range p.Needs {
			if err := visit(need, append(path, name)); err != nil {
				return err
			}
		}
		state[name] = done
		ordered = append(ordered, p)
		return nil
	}
	for _, p := range parts {
		if err := visit(p.Name, nil); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// running is an open part and the end of its Run.
type running struct {
	Part
	cancel context.CancelFunc
	ended  chan error
}

// Run opens the parts in order, calls ready once all are open and running, and blocks until ctx is
// done or a part fails; then it stops what is running in reverse order, each part fully before the
// next. It returns what went wrong, nil after a clean stop.
func Run(ctx context.Context, log *slog.Logger, parts []Part, ready func()) error {
	ordered, err := Order(parts)
	if err != nil {
		return err
	}
	var started []running
	failed := make(chan error, len(ordered))
	// A part stops when its turn comes, not when the process is asked to: until then the parts
	// above it still need it.
	detached := context.WithoutCancel(ctx)
	for _, p := range ordered {
		if ctx.Err() != nil {
			break
		}
		if p.Open != nil {
			if err := p.Open(ctx); err != nil {
				return errors.Join(fmt.Errorf("open %s: %w", p.Name, err), stop(log, started))
			}
		}
		started = append(started, launch(detached, p, failed))
		log.Debug("part started", "part", p.Name)
	}
	if len(started) == len(ordered) && ctx.Err() == nil {
		ready()
	}
	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
	}
	return errors.Join(cause, stop(log, started))
}

// launch runs a part in its own goroutine; a Run that ends early is reported to failed.
func launch(ctx context.Context, p Part, failed chan<- error) running {
	own, cancel := context.WithCancel(ctx)
	r := running{Part: p, cancel: cancel, ended: make(chan error, 1)}
	if p.Run == nil {
		r.ended <- nil
		return r
	}
	go func() {
		err := p.Run(own)
		if own.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil
		}
		if own.Err() == nil {
			if err == nil {
				err = errors.New("ended without being asked to")
			}
			failed <- fmt.Errorf("run %s: %w", p.Name, err)
			err = nil
		}
		r.ended <- err
	}()
	return r
}

// stop ends parts in reverse order of their start.
func stop(log *slog.Logger, started []running) error {
	var problems []error
	for _, r := range slices.Backward(started) {
		r.cancel()
		if err := <-r.ended; err != nil {
			problems = append(problems, fmt.Errorf("stop %s: %w", r.Name, err))
		}
		if r.Close != nil {
			if err := r.Close(); err != nil {
				problems = append(problems, fmt.Errorf("close %s: %w", r.Name, err))
			}
		}
		log.Debug("part stopped", "part", r.Name)
	}
	return errors.Join(problems...)
}
