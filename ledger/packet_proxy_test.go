package ledger

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// What becomes of a packet on its way to the server. Each but the first ends the connection for the client.
type fate string

const (
	arrives    fate = ""
	lost       fate = "lost"       // the server never sees it
	torn       fate = "torn"       // the server sees the first half
	unanswered fate = "unanswered" // the server does what it says; the answer gets nowhere
	late       fate = "late"       // it stays here until deliver, with the server's end of its connection
)

// farewell is the protocol's: the server closes the connection when it comes to it.
var farewell = []byte{1, 0, 0, 0, 1}

// packetProxy stands between a ledger and its database server and decides what becomes of each packet.
type packetProxy struct {
	t        *testing.T
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu     sync.Mutex
	decide func(text []byte) fate // nil: all arrive
	kept   []keptPacket
}

// keptPacket is a late one.
type keptPacket struct {
	packet []byte
	server net.Conn
	ended  <-chan struct{} // closed when the server has closed the connection
}

func startPacketProxy(t *testing.T, target string) *packetProxy {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &packetProxy{t: t, listener: l, target: target}
	t.Cleanup(func() {
		_ = l.Close()
		p.deliver()
		p.running.Wait()
	})
	p.running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(client) })
		}
	})
	return p
}

func (p *packetProxy) addr() string { return p.listener.Addr().String() }

// decideBy has fn, which is called for one packet at a time, decide from now on.
func (p *packetProxy) decideBy(fn func(text []byte) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = fn
}

func (p *packetProxy) fateOf(text []byte) fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.decide == nil {
		return arrives
	}
	return p.decide(text)
}

// serve passes packets on until one side ends.
func (p *packetProxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	ended := make(chan struct{})
	p.running.Go(func() {
		defer close(ended)
		_, _ = io.Copy(client, server)
		_ = client.Close()
		_, _ = io.Copy(io.Discard, server) // what is left when the client has gone
		_ = server.Close()
	})
	for {
		packet, err := readPacket(client)
		if err != nil {
			_ = server.Close()
			return
		}
		switch p.fateOf(packet[4:]) {
		case arrives:
			_, err = server.Write(packet)
		case lost:
			_ = server.Close()
			return
		case torn:
			_, _ = server.Write(packet[:4+len(packet[4:])/2])
			_ = server.Close()
			return
		case unanswered:
			_ = client.Close()
			_, _ = server.Write(append(packet, farewell...))
			<-ended
			return
		case late:
			p.mu.Lock()
			p.kept = append(p.kept, keptPacket{packet, server, ended})
			p.mu.Unlock()
			return
		}
		if err != nil {
			return
		}
	}
}

// readPacket reads one packet of the protocol: three bytes with its length, its number, its text.
func readPacket(from io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err
	}
	text := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(from, text)
	return append(head[:], text...), err
}

// deliver gives the server what is late, in the order in which it was sent, and returns when the server has
// done with it. A connection that the server has closed meanwhile takes nothing more.
func (p *packetProxy) deliver() {
	p.t.Helper()
	p.mu.Lock()
	kept := p.kept
	p.kept = nil
	p.mu.Unlock()
	for _, k := range kept {
		_, _ = k.server.Write(append(k.packet, farewell...))
		select {
		case <-k.ended:
		case <-time.After(5 * time.Minute):
			_ = k.server.Close()
			p.t.Errorf("the server has not done with a late packet: %.80q", k.packet[4:])
		}
	}
}

// isCommit reports whether a packet ends a DBTx.
func isCommit(text []byte) bool { return bytes.HasSuffix(text, []byte("COMMIT")) }
