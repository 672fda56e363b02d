package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

// quietLog drops everything below a warning: a benchmark's output is its figures.
func quietLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// inTempDir runs f in a fresh folder below parent and removes it afterwards, also after an error.
func inTempDir(parent string, f func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(parent, "matchday-bench-")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return f(dir)
}

// measured runs the part of a benchmark that its figures are about, the first time under the profiles
// that the options ask for.
func (r *BenchReport) measured(o BenchOptions, f func() error) (err error) {
	if r.profiled || (o.CPUProfile == "" && o.MemProfile == "") {
		return f()
	}
	r.profiled = true
	if o.CPUProfile != "" {
		file, err := os.Create(o.CPUProfile)
		if err != nil {
			return fmt.Errorf("cpu profile: %w", err)
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return errors.Join(fmt.Errorf("cpu profile: %w", err), file.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, file.Close())
		}()
	}
	if err := f(); err != nil || o.MemProfile == "" {
		return err
	}
	file, err := os.Create(o.MemProfile)
	if err != nil {
		return fmt.Errorf("heap profile: %w", err)
	}
	runtime.GC()
	return errors.Join(pprof.WriteHeapProfile(file), file.Close())
}

// bench runs measure o.Runs times, each in its own data folder, and prints the report.
func bench(ctx context.Context, o BenchOptions, r *BenchReport, out io.Writer, measure func(ctx context.Context, dir string, run int) error) error {
	for run := range o.Runs {
		began := processorTicks()
		err := inTempDir(o.Dir, func(dir string) error { return measure(ctx, dir, run) })
		if err != nil {
			return fmt.Errorf("bench %s, run %d: %w", r.Name, run+1, err)
		}
		r.addStolen("stolen_percent", began)
	}
	return r.write(out, o.JSON)
}

// poll calls done every few milliseconds until it reports true, ctx is done, or limit has passed.
func poll(ctx context.Context, what string, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, limit, ctx.Err())
		}
	}
}
