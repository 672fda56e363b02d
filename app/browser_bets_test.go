package app_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"matchday/id"
	"matchday/money"
	"matchday/sportsbook"
)

// bets places a single on the home team of an event, and waits until the history shows it.
func (p product) bets(who id.Player, e sportsbook.Event, stakeMinor int64) id.Bet {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	receipt, err := p.Sportsbook.Place(ctx, sportsbook.PlaceRequest{
		Player: who, Jurisdiction: "US-NJ", Key: fmt.Sprintf("page-%s-%d", e.ID, stakeMinor), Stake: money.New(stakeMinor, money.USD),
		Legs: []sportsbook.LegRequest{{SelectionID: e.ID + ":moneyline:home", Price: price(p.t, e, sportsbook.Moneyline, "home")}},
	})
	if err == nil {
		err = p.History.WaitFor(ctx, receipt.Position)
	}
	if err != nil {
		p.t.Fatalf("bet on %s: %v", e.ID, err)
	}
	return receipt.BetID
}

// ends enters a result, and waits until the history shows that the bet was settled so many times.
func (p product) ends(e sportsbook.Event, home, away int, who id.Player, bet id.Bet, settled int) {
	p.t.Helper()
	decided := settled - 1
	if _, err := p.Sportsbook.EnterResult(p.t.Context(), sportsbook.Result{
		EventID: e.ID, HomeScore: home, AwayScore: away, EnteredBy: "test", ExpectedResultVersion: &decided,
	}); err != nil {
		p.t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		life, err := p.History.Follow(p.t.Context(), who, "US-NJ", bet, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(life.Settlements) == settled {
			return
		}
	}
	p.t.Fatalf("bet %s was not settled %d times in time", bet, settled)
}

// withoutScripts lets no script of a page run.
func withoutScripts(ctx context.Context, _ *chromedp.Target) error {
	_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	return err
}

// shows waits until the list shows so many bets.
func (b tab) shows(bets int) {
	b.t.Helper()
	b.until(fmt.Sprintf("%d bets", bets), fmt.Sprintf(`document.readyState === 'complete' && document.querySelectorAll('[data-bet]').length === %d`, bets))
}

func TestBrowserFiltersBetsAndFollowsOne(t *testing.T) {
	p := startProduct(t)
	first, second := p.game(0), p.game(1)
	who, token := p.member("uma", 20000)
	small, large := p.bets(who, first, 1000), p.bets(who, second, 2500)
	b := p.openBrowser().as(token)
	t.Run("without scripts", func(t *testing.T) {
		plain := b.another()
		plain.do("forbid scripts", chromedp.Func(withoutScripts))
		plain.filters(small, large)
	})
	t.Run("with the keyboard", func(t *testing.T) {
		b.open("/bets")
		b.shows(2)
		b.tabTo(".filter summary")
		b.do("press Enter", chromedp.KeyEvent(kb.Enter))
		b.tabTo("#filter-max_stake")
		b.do("type", chromedp.KeyEvent("10"), chromedp.KeyEvent(kb.Enter))
		b.shows(1)
		b.untilText(".bet-sums", "$10.00")
		b.tabTo(".bet-head a")
		b.do("press Enter", chromedp.KeyEvent(kb.Enter))
		b.untilText(".life", "Waits for the result")
	})
	t.Run("as it settles", func(t *testing.T) {
		b.open("/bets/" + string(small))
		b.until("the stream is open", `document.querySelector('#linkdot').dataset.state === 'open'`)
		p.ends(first, 30, 3, who, small, 1)
		b.untilText(".life", "Settled: won") // without a reload
		p.ends(first, 3, 30, who, small, 2)
		b.untilText(".life", "Settled again: lost")
		b.until("the page has all of it", `document.querySelectorAll('.life .step').length === 3`)
	})
	t.Run("on a phone", func(t *testing.T) {
		b.do("take a phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
		for _, path := range []string{"/bets", "/bets?min_stake=lots&event=" + first.ID, "/bets/" + string(small), "/bets/summary", "/bets/summary?by=day"} {
			b.open(path)
			b.until(path+" is there", `document.readyState === 'complete' && document.querySelector('h1')`)
			b.fitsThePhone(path)
		}
	})
}

// filters narrows the list to one bet, mends a filter that does not work, and comes from a sum to its bets.
func (b tab) filters(small, large id.Bet) {
	b.t.Helper()
	b.open("/bets")
	b.shows(2)
	b.click(".filter summary")
	b.fill("#filter-min_stake", "twenty")
	b.click("#bet-filter [type=submit]")
	b.untilText("[role=alert]", "(invalid)")
	b.until("what was typed is there", `document.querySelector('#filter-min_stake').value === 'twenty'`)
	b.fill("#filter-min_stake", "20")
	b.click("#bet-filter [type=submit]")
	b.shows(1)
	if got := value[string](b, `location.pathname + location.search`); got != "/bets?min_stake=20" {
		b.t.Errorf("the filter is at %s", got)
	}
	b.untilText(".bet-sums", "$25.00")
	b.click(fmt.Sprintf(`[data-bet="%s"] .bet-head a`, large))
	b.untilText(".life", "Placed")
	b.untilText(".step-sum", "−$25.00")
	b.until("the page says how fresh it is", `document.querySelector('.fresh-line').textContent`)
	b.open("/bets?min_stake=20")
	b.click(".chosen a")
	b.shows(2)
	b.open("/bets?bet=" + string(small))
	b.shows(1)
	b.open("/bets/summary")
	b.untilText(".sums-table tfoot", "$35.00")
	count := value[int](b, `Number(document.querySelector('.sums-table tbody [data-label=Bets]').firstChild.textContent)`)
	b.click(".sums-table tbody th a")
	b.shows(count)
}

func TestBrowserSupportFollowsABet(t *testing.T) {
	p := startProduct(t)
	e := p.game(0)
	who, _ := p.member("ren", 5000)
	bet := p.bets(who, e, 1500)
	p.ends(e, 21, 7, who, bet, 1)
	b := p.openBrowser()
	b.open("/staff/players")
	b.until("the sign-in is there", `document.querySelector('#password')`)
	b.fill("#name", "staff", "#password", p.Secrets.StaffPassword)
	b.click("main form button[type=submit]")
	b.untilText("#players", "ren@example.com")
	b.fill("#find-id", string(who))
	b.click("#find-player [type=submit]")
	b.untilText(".facts", "ren@example.com")
	b.open("/staff/players")
	b.click("#players td a")
	b.untilText(".facts", "$")
	b.untilText("table.data", "Payout")
	b.click(fmt.Sprintf(`table.data a[href$="/bets/%s"]`, bet))
	b.untilText(".life", "Settled: won")
	b.untilText(".fresh-line + p", "Read position")
	b.click(`.bet-links a[href^="/staff/events/"]`)
	b.untilText("#event-name", e.Name)
	b.open(fmt.Sprintf("/staff/players/US-NJ/%s/bets", who))
	b.shows(1)
	b.click(`.chips a[href$="status=open"]`)
	b.untilText("main", "No bets fit")
	b.click(`.crumbs a[href$="/summary"]`)
	b.untilText(".sums-table tfoot", "$15.00")
	b.do("take a phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	root := "/staff/players/US-NJ/" + string(who)
	for _, path := range []string{root, root + "/bets", root + "/bets/" + string(bet), root + "/bets/summary", "/staff/players"} {
		b.open(path)
		b.until(path+" is there", `document.readyState === 'complete' && document.querySelector('h1')`)
		if width := value[int](b, `document.documentElement.scrollWidth`); width > 390 {
			t.Errorf("%s is %d px wide on a phone", path, width)
		}
	}
}
