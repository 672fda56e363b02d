package faults

import (
	"net"
	"sync"
)

// link is a connection between two parts that can be cut as a network is: nothing arrives any more and
// nobody is told. It forwards TCP connections to one address.
type link struct {
	listener net.Listener
	to       string

	mu     sync.Mutex
	isCut  bool
	mended chan struct{} // closed when the cut ends
	open   map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

// linkTo returns a link to the address that ends with the row.
func (s *stage) linkTo(addr string) (*link, error) {
	l, err := newLink(addr)
	if err != nil {
		return nil, err
	}
	s.onEnd(l.close)
	return l, nil
}

// newLink returns a link to the address.
func newLink(to string) (*link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{listener: listener, to: to, mended: make(chan struct{}), open: map[net.Conn]struct{}{}}
	l.wg.Go(l.accept)
	return l, nil
}

// addr is where the near end listens.
func (l *link) addr() string { return l.listener.Addr().String() }

// cut cuts the link or mends it. What was sent while it was cut arrives afterwards, as TCP would have it.
func (l *link) cut(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut == yes {
		return
	}
	l.isCut = yes
	if yes {
		l.mended = make(chan struct{})
	} else {
		close(l.mended)
	}
}

// drop ends every connection, as a restarted router would.
func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.Close()
	}
}

// close ends the link and waits for its connections.
func (l *link) close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	l.cut(false)
	err := l.listener.Close()
	l.drop()
	l.wg.Wait()
	return err
}

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		l.wg.Go(func() { l.carry(near) })
	}
}

// passable waits until the link is not cut.
func (l *link) passable() {
	l.mu.Lock()
	cut, mended := l.isCut, l.mended
	l.mu.Unlock()
	if cut {
		<-mended
	}
}

// carry forwards one connection both ways until either side ends.
func (l *link) carry(near net.Conn) {
	defer near.Close() //nolint:errcheck // both ends are given up together
	if !l.keep(near) {
		return
	}
	defer l.forget(near)
	l.passable()
	far, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer far.Close() //nolint:errcheck // as above
	if !l.keep(far) {
		return
	}
	defer l.forget(far)
	var wg sync.WaitGroup
	wg.Go(func() { l.pump(far, near) })
	l.pump(near, far)
	wg.Wait()
}

// pump copies one direction, a piece at a time, and ends both when one ends.
func (l *link) pump(to, from net.Conn) {
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		l.passable()
		if n > 0 {
			if _, err := to.Write(piece[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

// keep notes an open connection, or reports that the link is closed.
func (l *link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.open[c] = struct{}{}
	return true
}

func (l *link) forget(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}
