package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"matchday/errs"
	"matchday/internal/certs"
	"matchday/internal/certs/certtest"
	"matchday/internal/clock"
)

// secured is a configuration whose processes show each other these certificates.
func secured(c Config, f certs.Files) Config {
	c.InternalCAFile, c.InternalCertFile, c.InternalKeyFile = f.CA, f.Cert, f.Key
	return c
}

// callWith asks the process with other certificates than its own.
func callWith(t *testing.T, m *member, f certs.Files) error {
	t.Helper()
	var secure *certs.Source
	if f != (certs.Files{}) {
		var err error
		if secure, err = certs.Open(f, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
	p := newPeers(m.peers.secret, clock.System{}, secure)
	t.Cleanup(p.client.CloseIdleConnections)
	var answer barrierAnswer
	err := p.call(context.Background(), m.keeper.self.address, 0, opBarrier, &barrierCall{}, &answer)
	if (err == nil) != answer.Done {
		t.Errorf("answer %+v with error %v", answer, err)
	}
	return err
}

// unhurried keeps the shards where they are while a slow machine takes its time.
const unhurried = 20 * time.Second

// reaches waits until a call with these certificates is answered.
func reaches(t *testing.T, m *member, f certs.Files) {
	t.Helper()
	eventually(t, "a peer is answered", func() bool { return callWith(t, m, f) == nil })
}

// TestProcessesShowEachOtherCertificates needs only the loopback address: that the others are refused
// does not depend on where they are.
func TestProcessesShowEachOtherCertificates(t *testing.T) {
	t.Parallel()
	ours, other := certtest.NewAuthority(t), certtest.NewAuthority(t)
	c := Config{Dir: t.TempDir(), Shards: 2, SweepEvery: time.Hour, Lease: unhurried}
	a, b := startMember(t, secured(c, ours.Issue(t, t.TempDir(), nil))), startMember(t, secured(c, ours.Issue(t, t.TempDir(), nil)))
	wantSpread(t, 2, a, b)
	for shard, p := range playersOn(t, a.Service, 2) { // each writes one of the two
		for n, m := range []*member{a, b} {
			r, err := m.Commit(t.Context(), LaneInteractive, deposit(fmt.Sprintf("d/%s/%d", p, n), p, 100))
			if err != nil || r.Position.Shard != shard {
				t.Fatalf("member %d, shard %d: %+v, %v", n, shard, r, err)
			}
		}
	}
	writer := a
	if a.shards[0].isElsewhere() {
		writer = b
	}
	foreign := other.Issue(t, t.TempDir(), nil)
	foreign.CA = ours.File
	for name, f := range map[string]certs.Files{
		"clear text":               {},
		"no certificate":           {CA: ours.File},
		"another authority's":      foreign,
		"expired":                  ours.Issue(t, t.TempDir(), certtest.Expired),
		"trusts another authority": other.Issue(t, t.TempDir(), nil),
	} {
		if err := callWith(t, writer, f); !errs.Is(err, errs.CodeUnavailable) {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
	reaches(t, writer, ours.Issue(t, t.TempDir(), nil))
}

// TestAServerThatIsNotTheOwnerIsToldNothing has a caller meet certificates that are not those of the address: what
// was not sent was not done, so the caller may try elsewhere.
func TestAServerThatIsNotTheOwnerIsToldNothing(t *testing.T) {
	t.Parallel()
	ours, other := certtest.NewAuthority(t), certtest.NewAuthority(t)
	for name, f := range map[string]certs.Files{
		"another host":        ours.Issue(t, t.TempDir(), certtest.OtherHost),
		"expired":             ours.Issue(t, t.TempDir(), certtest.Expired),
		"another authority's": other.Issue(t, t.TempDir(), nil),
	} {
		source, err := certs.Open(f, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		asked := false
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
		server.TLS = source.Server()
		server.StartTLS()
		mine, err := certs.Open(ours.Issue(t, t.TempDir(), nil), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		p := newPeers("a secret that nobody else may see", clock.System{}, mine)
		err = p.call(t.Context(), server.Listener.Addr().String(), 0, opBarrier, &barrierCall{}, &barrierAnswer{})
		server.Close()
		if asked || !errors.Is(err, errNotHere) || errors.Is(err, errOpenEnded) {
			t.Errorf("%s: asked %t, %v, want not done for certain", name, asked, err)
		}
	}
}

func TestCertificatesBetweenProcessesAreRenewedWhileTheyRun(t *testing.T) {
	t.Parallel()
	before, after := certtest.NewAuthority(t), certtest.NewAuthority(t)
	dir := t.TempDir()
	f := before.Issue(t, dir, nil)
	m := startMember(t, secured(Config{Dir: t.TempDir(), Shards: 1, SweepEvery: time.Hour, Lease: unhurried}, f))
	wantSpread(t, 1, m)
	reaches(t, m, f)
	old := before.Issue(t, t.TempDir(), nil)
	certtest.Replace(t, before.File, after.File)
	after.Issue(t, dir, nil)
	reaches(t, m, after.Issue(t, t.TempDir(), nil))
	old.CA = after.File
	if err := callWith(t, m, old); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("with a certificate of the old authority: %v, want unavailable", err)
	}
}

func TestConnectionsEndAfterAWhile(t *testing.T) {
	t.Parallel()
	m := startMember(t, Config{Dir: t.TempDir(), Shards: 1, SweepEvery: time.Hour, Lease: unhurried})
	for age, want := range map[time.Duration]string{time.Minute: "", connectionAge + time.Minute: "close"} {
		r := httptest.NewRequest(http.MethodPost, peerPath+"0/"+opBarrier, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+m.peers.secret)
		w := httptest.NewRecorder()
		m.server.answer(w, r.WithContext(context.WithValue(t.Context(), connectedAt{}, m.clock.Now().Add(-age))))
		if got := w.Header().Get("Connection"); got != want {
			t.Errorf("a connection of %s: Connection is %q, want %q", age, got, want)
		}
	}
}
