package faults

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startLimit bounds the start of a writer process.
const startLimit = 5 * time.Minute

// process is a writer process.
type process struct {
	cmd    *exec.Cmd
	addr   string
	exited chan struct{}
	errors *tail
}

// start starts a writer process with the configuration file and returns when it takes operations. It
// dies with this process.
func start(ctx context.Context, command func(file string) *exec.Cmd, file string) (*process, error) {
	p := &process{cmd: command(file), exited: make(chan struct{}), errors: &tail{}}
	p.cmd.Stderr = p.errors
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start writer: %w", err)
	}
	started, ready := make(chan error, 1), make(chan string, 1)
	go p.watch(out, started, ready)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start writer: %w", err)
	}
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case p.addr = <-ready:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("writer ended before it was ready: %s", p.errors)
	case <-limit.C:
		err = fmt.Errorf("writer was not ready within %s: %s", startLimit, p.errors)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, p.kill())
}

// watch starts the process and waits for its end. It keeps its thread: the kernel ends a child with the
// thread that made it.
func (p *process) watch(out io.Reader, started chan<- error, ready chan<- string) {
	defer close(p.exited)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), readyLine); ok {
			ready <- addr
		}
	}
	_ = p.cmd.Wait() // how it ended is told by its standard error
}

// kill ends the process as a power cut would.
func (p *process) kill() error {
	err := p.signal(syscall.SIGKILL)
	<-p.exited
	return err
}

// stop ends it as an operator would.
func (p *process) stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case <-p.exited:
		return nil
	case <-limit.C:
		return errors.Join(errors.New("writer did not end when asked to"), p.kill())
	}
}

// freeze stops the process from running and returns when every thread of it stands still: the signal alone
// leaves them a moment.
func (p *process) freeze(ctx context.Context) error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for !p.frozen() {
		pause(ctx, time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// frozen reports whether all threads are stopped.
func (p *process) frozen() bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		return true // gone: it will not run either
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		_, state, _ := strings.Cut(string(text), ") ") // the name may hold spaces
		if err == nil && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// peakMiB returns the most memory that the process has used so far.
func (p *process) peakMiB() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(after, &kib); err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", p.cmd.Process.Pid, err)
	}
	return kib >> 10, nil
}

func (p *process) signal(s os.Signal) error {
	err := p.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// tail keeps the end of what a process complains about.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 8 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(b), nil
}

// String returns it.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
