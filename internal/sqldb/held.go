package sqldb

import (
	"os"
	"sync"
)

// held is a file that is opened when it is first used and stays open until close: to close any descriptor of a
// database file takes the process's locks off it.
type held struct {
	mu     sync.Mutex
	file   *os.File // nil until use
	closed bool
}

// use calls fn with the file at path, one call at a time. Errors: os.ErrClosed after close, those of opening it, fn's.
func (h *held) use(path string, flag int, fn func(f *os.File) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return os.ErrClosed
	}
	if h.file == nil {
		f, err := os.OpenFile(path, flag, 0)
		if err != nil {
			return err
		}
		h.file = f
	}
	return fn(h.file)
}

// close closes the file once nobody uses it. It may be called twice.
func (h *held) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.file == nil {
		return nil
	}
	err := h.file.Close()
	h.file = nil
	return err
}
