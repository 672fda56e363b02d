package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Matchday-Position", "1-42")
	switch r.URL.Path {
	case "/chunked":
		for range 3 {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 3000))
			w.(http.Flusher).Flush()
		}
	case "/close":
		w.Header().Set("Connection", "close")
		_, _ = w.Write([]byte("bye"))
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.Header.Get("Authorization"), r.Header.Get("Idempotency-Key"), r.Header.Get("X-One"), body)
	}
}

func TestClientSpeaksPlainHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	client := New(strings.TrimPrefix(server.URL, "http://"), 5*time.Second)
	defer client.Close()
	tests := []struct {
		name   string
		r      Request
		status int
		body   string
	}{
		{"headers and body arrive", Request{Method: "POST", Path: "/e", Token: "t", Key: "k", Header: "X-One: 1\r\n", Body: []byte(`{}`)}, 201, "POST Bearer t k 1 {}"},
		{"a second request uses the same connection", Request{Method: "GET", Path: "/e"}, 201, "GET    "},
		{"chunks are joined", Request{Method: "GET", Path: "/chunked"}, 200, strings.Repeat("x", 9000)},
		{"no content is an empty body", Request{Method: "GET", Path: "/none"}, 204, ""},
		{"a closing answer is read", Request{Method: "GET", Path: "/close"}, 200, "bye"},
		{"after a close the client reconnects", Request{Method: "GET", Path: "/e"}, 201, "GET    "},
	}
	for _, tt := range tests { // in order: the connection is what is tested
		got, err := client.Do(t.Context(), &tt.r)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got.Status != tt.status || string(got.Body) != tt.body || got.Position != "1-42" {
			t.Errorf("%s: got %d %.80q at %q, want %d %.80q", tt.name, got.Status, got.Body, got.Position, tt.status, tt.body)
		}
	}
}

func TestClientRefusesNonsense(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"another protocol":         "SSH-2.0-x\r\n",
		"a negative length":        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"a length over the bound":  "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"a chunk size of no digit": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, answer)
					_ = conn.Close()
				}
			}))
			defer server.Close()
			client := New(strings.TrimPrefix(server.URL, "http://"), 5*time.Second)
			if _, err := client.Do(t.Context(), &Request{Method: "GET", Path: "/"}); !errors.Is(err, ErrProtocol) {
				t.Errorf("Do = %v, want ErrProtocol", err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
	f.Add("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := New("", time.Second)
		c.in = bufio.NewReader(strings.NewReader(text))
		if err := c.read(); err == nil && len(c.answer.Body) > len(text) {
			t.Errorf("a body of %d bytes from an answer of %d", len(c.answer.Body), len(text))
		}
	})
}

// BenchmarkClients compares what one request costs with this client and with net/http's, server
// included, in one process.
func BenchmarkClients(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	b.Run("client=wire", func(b *testing.B) {
		client := New(strings.TrimPrefix(server.URL, "http://"), 5*time.Second)
		defer client.Close()
		r := Request{Method: "POST", Path: "/e", Token: "t", Key: "k", Body: []byte(`{"a":1}`)}
		for b.Loop() {
			if _, err := client.Do(b.Context(), &r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("client=net/http", func(b *testing.B) {
		for b.Loop() {
			r, _ := http.NewRequestWithContext(b.Context(), "POST", server.URL+"/e", strings.NewReader(`{"a":1}`))
			r.Header.Set("Authorization", "Bearer t")
			r.Header.Set("Idempotency-Key", "k")
			answer, err := server.Client().Do(r)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
	})
}
