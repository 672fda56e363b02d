package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"matchday/app"
	"matchday/id"
	"matchday/money"
	"matchday/payments"
	"matchday/player"
	"matchday/sportsbook"
)

// patience bounds each wait of a browser test; the machine may be busy.
const patience = 2 * time.Minute

// product is a whole Matchday in a folder of its own, as matchday up starts it.
type product struct {
	*app.App
	t *testing.T
}

func startProduct(t *testing.T) product {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a whole platform, most with a browser: left out with -short")
	}
	c := app.Default(t.TempDir())
	c.Listen = "127.0.0.1:0"
	c.Player.Argon2 = player.Argon2{MemoryKiB: 64, Passes: 1, Lanes: 1} // these tests are not about password strength
	c.API.SignInsPerMinute = -1
	c.Web.SignInsPerMinute = -1
	a, err := app.New(c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the product did not stop cleanly: %v", err)
		}
	})
	for _, ready := range []func() <-chan struct{}{a.Ready, func() <-chan struct{} { return a.Sportsbook.Ready() }} {
		select {
		case <-ready():
		case err := <-ended:
			ended <- nil
			t.Fatalf("the product did not start: %v", err)
		case <-time.After(patience):
			t.Fatal("the product was not ready in time")
		}
	}
	return product{App: a, t: t}
}

// game returns a game of the built-in slate that has not started, the n-th of them.
func (p product) game(n int) sportsbook.Event {
	p.t.Helper()
	soon := time.Now().Add(10 * time.Minute)
	events, _, err := p.Sportsbook.ListEvents(p.t.Context(), sportsbook.EventQuery{Jurisdiction: "US-NJ", Status: sportsbook.EventScheduled})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range events {
		if e.StartsAt.Before(soon) || len(e.Markets) < 3 {
			continue
		}
		if n == 0 {
			return e
		}
		n--
	}
	p.t.Fatal("the built-in slate has too few games to come")
	return sportsbook.Event{}
}

// member makes a player with money and returns the token of their session.
func (p product) member(name string, depositMinor int64) (id.Player, string) {
	p.t.Helper()
	ctx := p.t.Context()
	who, err := p.Players.SignUp(ctx, player.SignUp{
		Email: name + "@example.com", Password: "correct horse battery", DisplayName: name, BirthDate: "1990-05-17", Jurisdiction: "US-NJ",
	})
	if err != nil {
		p.t.Fatal(err)
	}
	_, token, err := p.Players.SignIn(ctx, player.Credentials{Email: name + "@example.com", Password: "correct horse battery", Jurisdiction: "US-NJ"})
	if err != nil {
		p.t.Fatal(err)
	}
	if depositMinor == 0 {
		return who.ID, token
	}
	paid, err := p.Payments.Deposit(ctx, payments.Request{
		Player: who.ID, Jurisdiction: "US-NJ", Key: "browser-" + name, Amount: money.New(depositMinor, money.USD), Method: "card",
	})
	for end := time.Now().Add(patience); err == nil && !paid.Status.IsFinal() && time.Now().Before(end); {
		paid, err = p.Payments.Find(ctx, who.ID, "US-NJ", paid.ID)
	}
	if err != nil || paid.Status != payments.StatusCompleted {
		p.t.Fatalf("deposit of %s: %+v, %v", name, paid, err)
	}
	return who.ID, token
}

// tab is one tab of a real Chromium.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string
}

// openBrowser starts a browser with one tab of a desktop's size. Without Chromium the test fails:
// pages that no browser has shown are not tested.
func (p product) openBrowser() tab {
	p.t.Helper()
	return p.openBrowserAt(p.BaseURL())
}

// openBrowserAt starts a browser for the pages at an address.
func (p product) openBrowserAt(base string) tab {
	p.t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		p.t.Fatal("the browser tests need Chromium: run them with make test, which installs it (Debian package chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(filepath.Join(p.t.TempDir(), "profile")), chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	p.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	p.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	p.t.Cleanup(cancel)
	return tab{t: p.t, ctx: ctx, base: base}
}

// another opens a second tab of the same browser, with the same cookies.
func (b tab) another() tab {
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	return tab{t: b.t, ctx: ctx, base: b.base}
}

func (b tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v\n%s", what, err, b.state())
	}
}

// state says where the tab is, for failures.
func (b tab) state() string {
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + '\n' + document.querySelector('main')?.innerText`))
	if err != nil {
		return "the page cannot be read: " + err.Error()
	}
	return text
}

// as gives the tab a player's session.
func (b tab) as(token string) tab {
	b.t.Helper()
	b.do("set the cookie", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: "matchday_session", Value: token, URL: b.base})
		return err
	}))
	return b
}

// forget drops all cookies.
func (b tab) forget() {
	b.t.Helper()
	b.do("clear the cookies", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}))
}

func (b tab) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.base+path))
}

// click presses an element once the page's scripts have run and it is there, enabled, and on top at its middle.
// Finding and pressing are one step in the page: between two, what loads meanwhile moves the element away from
// under the mouse.
func (b tab) click(selector string) {
	b.t.Helper()
	b.until("click "+selector, fmt.Sprintf(`(() => {
		const e = document.readyState === 'complete' && document.querySelector(%q);
		if (!e || e.disabled) return false;
		e.scrollIntoView({ block: 'center', behavior: 'instant' });
		const box = e.getBoundingClientRect();
		const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
		if (!top || !(e.contains(top) || top.closest('label')?.control === e)) return false;
		e.click();
		return true;
	})()`, selector))
}

// fill sets inputs as typing does, in pairs of selector and text, once the page's scripts have run.
func (b tab) fill(pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		b.until("fill "+pairs[i], fmt.Sprintf(`(() => {
			const e = document.readyState === 'complete' && document.querySelector(%q);
			if (!e) return false;
			e.focus();
			e.value = %q;
			e.dispatchEvent(new Event('input', {bubbles: true}));
			return true;
		})()`, pairs[i], pairs[i+1]))
	}
}

// until waits for an expression to hold.
func (b tab) until(what, expression string) {
	b.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		// While a page changes there is a moment without one.
		if ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")")); err == nil && ok {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			b.t.Fatalf("%s: not in time\n%s", what, b.state())
		}
	}
}

// untilText waits until the first element of a selector contains a text.
func (b tab) untilText(selector, text string) {
	b.t.Helper()
	b.until(selector+" shows "+text, fmt.Sprintf(`document.querySelector(%q)?.textContent.includes(%q)`, selector, text))
}

// value evaluates an expression.
func value[T any](b tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("evaluate %.100s: %v", expression, err)
	}
	return v
}

// emulateDark asks pages for their dark look.
func emulateDark(ctx context.Context, _ *chromedp.Target) error {
	media := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: media})
	return err
}

// picture writes what the tab shows as a PNG.
func (b tab) picture(dir, name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), png, 0o600)
	}
	if err != nil {
		b.t.Fatalf("picture %s: %v", name, err)
	}
}
