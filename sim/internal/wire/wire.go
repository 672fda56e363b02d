// Package wire is the load generator's HTTP client: HTTP/1.1 over one keep-alive connection, one
// request at a time, no allocation that outlives a request.
//
// It exists because the generator shares two cores with the platform it measures: net/http's client
// costs about four times as much a request (BenchmarkClients). It speaks only what the generator
// needs: no redirects, no compression, no TLS.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// MaxBody bounds a response body.
const MaxBody = 16 << 20

// ErrProtocol is returned for a response that is not plain HTTP/1.1.
var ErrProtocol = errors.New("unexpected HTTP response")

// Request is one request. Body is empty for none.
type Request struct {
	Method   string
	Path     string
	Token    string // bearer token, "" for none
	Key      string // Idempotency-Key, "" for none
	Position string // Matchday-Position, "" for none
	Header   string // further header lines, each ended by CR LF
	Type     string // Content-Type of the body; "" is application/json
	Body     []byte
}

// Response is the answer to one request. Body is valid until the next request of the same Client.
type Response struct {
	Status   int
	Position string // Matchday-Position
	Body     []byte
}

// Client is one connection to one host. It is not safe for concurrent use.
type Client struct {
	addr    string
	timeout time.Duration
	conn    net.Conn
	in      *bufio.Reader
	out     []byte
	body    []byte
	answer  Response
}

// New returns a client of host:port. Each request must end within timeout.
func New(addr string, timeout time.Duration) *Client {
	return &Client{addr: addr, timeout: timeout, out: make([]byte, 0, 2048), body: make([]byte, 0, 4096)}
}

// Close closes the connection. The client may be used again afterwards.
func (c *Client) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// Do sends the request and returns the response. A done ctx keeps it from starting; once started it ends
// by its answer or by the client's timeout. After an error the outcome of the request is
// unknown, and the next request takes a new connection.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	if err := c.exchange(r); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	return &c.answer, nil
}

func (c *Client) connect(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: c.timeout}
	conn, err := dialer.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	c.conn = conn
	if c.in == nil {
		c.in = bufio.NewReaderSize(conn, 8<<10)
	} else {
		c.in.Reset(conn)
	}
	return nil
}

func (c *Client) exchange(r *Request) error {
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	c.out = appendRequest(c.out[:0], c.addr, r)
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	return c.read()
}

func appendRequest(b []byte, host string, r *Request) []byte {
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.Path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	b = appendHeader(b, "Authorization: Bearer ", r.Token)
	b = appendHeader(b, "Idempotency-Key: ", r.Key)
	b = appendHeader(b, "Matchday-Position: ", r.Position)
	b = append(b, r.Header...)
	if len(r.Body) > 0 || r.Method == "POST" {
		kind := r.Type
		if kind == "" {
			kind = "application/json"
		}
		b = appendHeader(b, "Content-Type: ", kind)
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.Body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, r.Body...)
}

func appendHeader(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// read reads one response into c.answer.
func (c *Client) read() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return fmt.Errorf("status line %.60q: %w", line, ErrProtocol)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return fmt.Errorf("status line %.60q: %w", line, ErrProtocol)
	}
	c.answer = Response{Status: status}
	length, chunked, closes, err := c.readHeader()
	if err != nil {
		return err
	}
	c.body = c.body[:0]
	switch {
	case chunked:
		err = c.readChunks()
	case length > MaxBody:
		err = fmt.Errorf("body of %d bytes: %w", length, ErrProtocol)
	case length > 0:
		err = c.readBody(length)
	}
	if closes {
		c.Close()
	}
	c.answer.Body = c.body
	return err
}

// readHeader reads the header lines and returns what they say about the body.
func (c *Client) readHeader() (length int, chunked, closes bool, err error) {
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return length, chunked, closes, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return 0, false, false, fmt.Errorf("content length %.20q: %w", value, ErrProtocol)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			closes = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Matchday-Position")):
			c.answer.Position = string(value)
		}
	}
}

// line returns the next line without its end; valid until the next read.
func (c *Client) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func (c *Client) readBody(n int) error {
	start := len(c.body)
	if start+n > MaxBody {
		return fmt.Errorf("body over %d bytes: %w", MaxBody, ErrProtocol)
	}
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.in, c.body[start:])
	return err
}

func (c *Client) readChunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %.20q: %w", line, ErrProtocol)
		}
		if n > 0 {
			if err := c.readBody(int(n)); err != nil {
				return err
			}
		}
		if end, err := c.line(); err != nil || len(end) != 0 {
			return errors.Join(err, fmt.Errorf("chunk end %.20q: %w", end, ErrProtocol))
		}
		if n == 0 {
			return nil
		}
	}
}
