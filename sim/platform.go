package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"matchday/app"
	"matchday/sim/internal/wire"
)

// platform is a whole Matchday in this process, reached through its real port like any other. The
// simulation holds its rooms only to wait for them, to count what history shows, and to check at the end.
type platform struct {
	*app.App
	addr  string
	staff string // session token of the staff account
	ended chan error
	stop  context.CancelFunc
}

// startTimeout bounds the start of a platform on a fresh folder.
const startTimeout = 60 * time.Second

// requestTimeout is when the load generator gives a request up as unanswered.
const requestTimeout = 10 * time.Second

// startPlatform starts everything on the data folder and signs the staff account in.
func startPlatform(ctx context.Context, dir string, shards int, change func(*app.Config)) (*platform, error) {
	c := app.Default(dir)
	c.Listen = "127.0.0.1:0"
	c.Slate = app.SlateNone
	c.Ledger.Shards = shards
	c.API.SignInsPerMinute = -1
	c.DrainTimeout = 2 * time.Second
	if change != nil {
		change(&c)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a, err := app.New(c, log, "sim")
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(ctx)
	p := &platform{App: a, ended: make(chan error, 1), stop: stop}
	go func() { p.ended <- a.Run(run) }()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-a.Ready():
	case err := <-p.ended:
		stop()
		return nil, fmt.Errorf("start the platform: %w", errors.Join(err, errors.New("it stopped before it was ready")))
	case <-timeout.C:
		return nil, errors.Join(fmt.Errorf("start the platform: not ready within %s", startTimeout), p.close())
	}
	p.addr = strings.TrimPrefix(a.BaseURL(), "http://")
	if err := p.signInStaff(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// close stops the platform and waits for it.
func (p *platform) close() error {
	p.stop()
	err := <-p.ended
	p.ended <- err // so that close may be called twice
	debug.FreeOSMemory()
	return err
}

func (p *platform) signInStaff(ctx context.Context) error {
	token, err := staffToken(ctx, p.addr, app.StaffName, p.Secrets.StaffPassword)
	p.staff = token
	return err
}

// staffToken signs the staff account in over HTTP.
func staffToken(ctx context.Context, addr, name, password string) (string, error) {
	client := wire.New(addr, requestTimeout)
	defer client.Close()
	body := fmt.Appendf(nil, `{"name":%q,"password":%q}`, name, password)
	var session struct {
		Token string `json:"token"`
	}
	if err := call(ctx, client, &wire.Request{Method: "POST", Path: "/v1/operator/sessions", Body: body}, &session); err != nil {
		return "", fmt.Errorf("sign staff in: %w", err)
	}
	return session.Token, nil
}
