package sim

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// progress prints one line a second: in place on a terminal, one below the other elsewhere.
type progress struct {
	mu  sync.Mutex
	out io.Writer
	tty bool
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.tty = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// line prints a line that stays.
func (p *progress) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print(fmt.Sprintf(format, args...), "\n")
}

// print writes over what was in the line; a terminal that is gone is nobody's error.
func (p *progress) print(text, end string) {
	if p.tty {
		text = "\r\x1b[K" + text
	}
	_, _ = io.WriteString(p.out, strings.TrimRight(text, " ")+end)
}

// every prints text once a second until stop is called.
func (p *progress) every(text func() string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.mu.Lock()
				if p.tty {
					p.print(text(), "")
				} else {
					p.print(text(), "\n")
				}
				p.mu.Unlock()
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		if p.tty {
			p.line("%s", text())
		}
	}
}
