package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"matchday/odds"
	"matchday/sportsbook"
)

// selection is the CSS selector of a price button.
func selection(e sportsbook.Event, market sportsbook.MarketType, code string) string {
	return fmt.Sprintf(`[data-selection="%s:%s:%s"]`, e.ID, market, code)
}

func TestBrowserFromSignUpToPayout(t *testing.T) {
	p := startProduct(t)
	e := p.game(0)
	b := p.openBrowser()
	b.open("/")
	b.untilText(".hero", "Join Matchday")
	b.click(".hero .btn.lime")
	b.until("the form is there", `document.querySelector('#birth_date')`)
	b.fill("#display_name", "Robin", "#email", "robin@example.com", "#password", "short", "#birth_date", "1990-05-17")
	b.click("main form button[type=submit]")
	b.until("the wrong field is named", `document.querySelector('#password-wrong') && document.querySelector('#email').value === 'robin@example.com'`)
	b.fill("#password", "correct horse battery")
	b.click("main form button[type=submit]")
	b.untilText("h1", "Hello, Robin")

	b.click(`[data-payment="deposit"] [data-amount="100"]`)
	b.click(`[data-payment="deposit"] [type=submit]`)
	b.untilText(`[data-payment="deposit"] [data-outcome]`, "$100.00 is in your balance")
	b.untilText("#balance", "$100.00")
	b.untilText(`[data-live-region="account"]`, "+$100.00")

	b.open("/")
	b.click(selection(e, sportsbook.Moneyline, "home"))
	b.until("the price is on the slip", `document.querySelector('[data-pick]')`)
	b.fill(".stake-in", "10")
	home := price(t, e, sportsbook.Moneyline, "home")
	pays, err := odds.Payout(1000, []odds.Price{home})
	if err != nil {
		t.Fatal(err)
	}
	paysText := fmt.Sprintf("$%d.%02d", pays/100, pays%100)
	b.untilText("#slip-returns", paysText)
	b.click("#place")
	b.untilText(".receipt", "Bet accepted")
	b.untilText("#balance", "$90.00")
	b.click(".receipt-links a")
	b.untilText(".bet .tag", "Open")

	s := b.another()
	s.open("/staff")
	s.until("the sign-in is there", `document.querySelector('#password')`)
	s.fill("#name", "staff", "#password", p.Secrets.StaffPassword)
	s.click("main form button[type=submit]")
	s.untilText("#exposure", e.Name)
	s.open("/staff/events/" + e.ID)
	s.untilText("#event-name", e.Name)
	s.fill("#result-away", "3", "#result-home", "30")
	s.click("#result-form button")
	s.click(`#confirm [value="yes"]`)
	s.untilText("#event-facts", "result entered 3–30")
	s.open("/staff")
	s.untilText("#settlements", "Paid")
	s.untilText("#shards", "0")
	// Whose statements were the slowest is chance: on a fast disk those of the directory, say.
	s.until("the panel names the slowest statements", `/^Slowest SQL.*: \w.* [\d.,]+ (µs|ms|s)\b/.test(document.querySelector("#statements p")?.textContent)`)
	s.until("the panel shows where commits take their time", `document.querySelector("#commits .steps i")`)
	s.untilText("#steps-key", "Sync, p99")

	// The player's tab has not been touched since: the stream brings the payout.
	b.untilText(".bet .tag", "Won")
	b.untilText(".bet .payout", paysText)
	left := 9000 + pays
	b.untilText("#balance", fmt.Sprintf("$%d.%02d", left/100, left%100))
	b.open("/?show=results")
	b.untilText(fmt.Sprintf(`[data-game="%s"]`, e.ID), "30")
	correctResult(s, e)
	b.untilText("#balance", "$90.00")
	b.open("/bets")
	b.untilText(".bet .tag", "Lost")
}

// correctResult enters on the staff page that the score was the other way round.
func correctResult(s tab, e sportsbook.Event) {
	s.t.Helper()
	s.open("/staff/events/" + e.ID)
	s.untilText("#event-facts", "result entered 3–30")
	s.fill("#result-away", "30", "#result-home", "3")
	s.click("#result-form button")
	s.click(`#confirm [value="yes"]`)
	s.untilText("#event-facts", "result entered 30–3")
}

// price returns what a selection of an event pays.
func price(t *testing.T, e sportsbook.Event, market sportsbook.MarketType, code string) odds.Price {
	t.Helper()
	for _, m := range e.Markets {
		for _, s := range m.Selections {
			if m.Type == market && s.Code == code {
				return s.Price
			}
		}
	}
	t.Fatalf("%s has no %s %s", e.ID, market, code)
	return odds.Price{}
}

// move sets the price of a selection.
func (p product) move(e sportsbook.Event, market sportsbook.MarketType, code string, american int64) {
	p.t.Helper()
	to, err := odds.American(american)
	if err != nil {
		p.t.Fatal(err)
	}
	err = p.Sportsbook.SetPrice(p.t.Context(), sportsbook.PriceChange{
		SelectionID: fmt.Sprintf("%s:%s:%s", e.ID, market, code), Price: to, By: sportsbook.By{Actor: "test"},
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func TestBrowserAsksWhenThePriceMoves(t *testing.T) {
	p := startProduct(t)
	e := p.game(1)
	_, token := p.member("sam", 10000)
	b := p.openBrowser().as(token)
	was := price(t, e, sportsbook.Moneyline, "away").String()

	t.Run("as the stream tells", func(t *testing.T) {
		b.open("/")
		b.until("the stream is open", `document.querySelector('#linkdot').dataset.state === 'open'`)
		b.click(selection(e, sportsbook.Moneyline, "away"))
		b.fill(".stake-in", "5")
		p.move(e, sportsbook.Moneyline, "away", 333)
		b.untilText("[data-pick]", "The price moved from "+shown(was)+" to +333")
		b.untilText(selection(e, sportsbook.Moneyline, "away"), "+333")
		b.click("#place")
		b.until("the dialogue asks", `document.querySelector('#price-dialog').open`)
		b.untilText("#price-dialog-list", shown(was))
		b.untilText("#price-dialog-list", "+333")
		b.untilText("#price-accept", "$21.65")
		b.click("#price-keep")
		b.until("nothing was placed", `!document.querySelector('#price-dialog').open && !document.querySelector('.receipt')`)
		b.click("#place")
		p.move(e, sportsbook.Moneyline, "away", 350)
		b.untilText("#price-dialog-list", "+350")
		b.click("#price-accept")
		b.untilText(".receipt", "+350")
		b.untilText("#balance", "$95.00")
	})
	t.Run("as the platform refuses", func(t *testing.T) {
		b.do("cut the stream", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
				Source: `window.EventSource = class { addEventListener() {} close() {} };`,
			})
			return err
		}))
		b.open("/")
		b.click(selection(e, sportsbook.Moneyline, "away"))
		b.fill(".stake-in", "5")
		p.move(e, sportsbook.Moneyline, "away", 250)
		b.click("#place")
		b.until("the dialogue asks", `document.querySelector('#price-dialog').open`)
		b.untilText("#price-dialog-list", "+250")
		b.click("#price-accept")
		b.untilText(".receipt", "+250")
	})
	t.Run("but not when better prices are taken", func(t *testing.T) {
		b.open("/")
		b.click(selection(e, sportsbook.Moneyline, "away"))
		b.fill(".stake-in", "5")
		b.do("choose a policy", chromedp.Evaluate[chromedp.Void](`(() => { const p = document.querySelector('#price-policy'); p.value = 'better'; p.dispatchEvent(new Event('change')); })()`))
		p.move(e, sportsbook.Moneyline, "away", 260)
		b.click("#place")
		b.untilText(".receipt", "+260")
	})
}

// shown is a price as pages write it.
func shown(price string) string {
	if price[0] == '-' {
		return "−" + price[1:]
	}
	return price
}

func TestBrowserShowsAMarketThatIsSuspended(t *testing.T) {
	p := startProduct(t)
	e := p.game(0)
	b := p.openBrowser()
	b.open("/events/" + e.ID)
	b.until("the stream is open", `document.querySelector('#linkdot').dataset.state === 'open'`)
	market := e.ID + ":spread"
	if err := p.Sportsbook.SetMarketStatus(t.Context(), market, sportsbook.MarketSuspended, sportsbook.By{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	b.until("the price locks", fmt.Sprintf(`document.querySelector(%q).disabled`, selection(e, sportsbook.Spread, "home")))
	b.untilText("[data-market-tag]", "Suspended")
	if err := p.Sportsbook.SetMarketStatus(t.Context(), market, sportsbook.MarketOpen, sportsbook.By{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	b.until("the price opens", fmt.Sprintf(`!document.querySelector(%q).disabled`, selection(e, sportsbook.Spread, "home")))
	if err := p.Sportsbook.UpdateScore(t.Context(), e.ID, 7, 3, sportsbook.By{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	b.untilText(`[data-score="home"]`, "7")
	b.untilText(".scorecard", "Live")
}

func TestBrowserLeadsToADepositWhenTheBalanceIsTooLow(t *testing.T) {
	p := startProduct(t)
	e := p.game(0)
	_, token := p.member("lee", 1000)
	b := p.openBrowser().as(token)
	b.open("/")
	b.click(selection(e, sportsbook.Total, "over"))
	b.fill(".stake-in", "25")
	b.until("the slip warns", `!document.querySelector('#slip-funds').hidden`)
	b.click("#place")
	b.untilText("[data-note]", "balance is too low")
	b.click("[data-note] a")
	b.untilText("h1", "Hello, lee")
	b.fill("#deposit-amount", "100")
	b.click(`[data-payment="deposit"] [type=submit]`)
	b.untilText("#balance", "$110.00")
	b.open("/")
	b.until("the slip has kept its price", `document.querySelector('[data-pick]')`)
	b.click("#place")
	b.untilText(".receipt", "Bet accepted")
	b.untilText("#balance", "$85.00")
}

func TestBrowserPlacesABetOnceThoughTheAnswerIsLost(t *testing.T) {
	p := startProduct(t)
	e := p.game(0)
	_, token := p.member("noa", 5000)
	b := p.openBrowser().as(token)
	b.open("/")
	b.do("lose the answers to five bets, and tell the sixth to wait", chromedp.Evaluate[chromedp.Void](`(() => {
		const real = window.fetch;
		window.keys = [];
		window.fetch = async (path, options) => {
			const answer = await real(path, options);
			if (path !== '/v1/bets') return answer;
			window.keys.push(options.headers['Idempotency-Key']);
			if (window.keys.length <= 5) throw new TypeError('connection reset');
			if (window.keys.length === 6) return Response.json({ code: 'rate_limited', status: 429 }, { status: 429 });
			return answer;
		};
	})()`))
	b.click(selection(e, sportsbook.Moneyline, "home"))
	b.fill(".stake-in", "8")
	b.click("#place")
	b.untilText("[data-note]", "We have not heard back yet")
	b.untilText("#place", "Ask again")
	b.until("the stake is locked meanwhile", `document.querySelector('.stake-in').disabled`)
	b.click("#place")
	b.untilText("[data-note]", "Too many requests")
	if err := p.Players.SignOut(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	b.click("#place")
	b.untilText("[data-note]", "Your session has ended")
	b.until("all attempts had one key", `window.keys.length === 7 && new Set(window.keys).size === 1`)
	b.click("[data-note] a")
	b.until("the sign-in is there", `document.querySelector('#password')`)
	b.fill("#email", "noa@example.com", "#password", "correct horse battery")
	b.click("main form button[type=submit]")
	b.untilText("#place", "Ask again")
	b.click("#place")
	b.untilText(".receipt", "Bet accepted")
	b.untilText("#balance", "$42.00")
	b.open("/bets")
	if got := value[int](b, `document.querySelectorAll('[data-bet]').length`); got != 1 {
		t.Errorf("%d bets, want 1", got)
	}
}

func TestBrowserDepositsOnceThoughTheAnswerIsLost(t *testing.T) {
	p := startProduct(t)
	who, token := p.member("ida", 0)
	b := p.openBrowser().as(token)
	b.open("/account")
	b.do("lose the answer to the deposit", chromedp.Evaluate[chromedp.Void](`(() => {
		const real = window.fetch;
		window.fetch = async (path, options) => {
			const answer = await real(path, options);
			if (path !== '/v1/me/deposits') return answer;
			return Response.json({ code: 'unauthenticated', status: 401 }, { status: 401 });
		};
	})()`))
	b.fill("#deposit-amount", "30")
	b.click(`[data-payment="deposit"] [type=submit]`)
	b.untilText(`[data-payment="deposit"] [data-outcome]`, "Your session has ended")
	b.open("/account")
	b.untilText(`[data-payment="deposit"] [data-outcome]`, "We have not heard back")
	b.click(`[data-payment="deposit"] [type=submit]`)
	b.untilText(`[data-payment="deposit"] [data-outcome]`, "$30.00 is in your balance")
	made, _, err := p.Payments.List(t.Context(), who, "US-NJ", "", 10)
	if err != nil || len(made) != 1 {
		t.Errorf("%d deposits, %v, want 1", len(made), err)
	}
	b.open("/account")
	b.until("the form is empty", `document.querySelector('#deposit-amount').value === ''`)
}

func TestBrowserStaffRunTheOffer(t *testing.T) {
	p := startProduct(t)
	e := p.game(0)
	p.member("vi", 5000)
	b := p.openBrowser()
	b.open("/staff/events")
	b.until("the sign-in is there", `document.querySelector('#password')`)
	b.fill("#name", "staff", "#password", "wrong password")
	b.click("main form button[type=submit]")
	b.untilText("[role=alert]", "do not match")
	b.fill("#name", "staff", "#password", p.Secrets.StaffPassword)
	b.click("main form button[type=submit]")
	row := fmt.Sprintf(`[data-row="%s"]`, e.ID)
	b.untilText(row, e.Name)

	find := func() sportsbook.Event {
		t.Helper()
		now, err := p.Sportsbook.FindEvent(t.Context(), "US-NJ", e.ID)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	b.click(row + " td:last-child button")
	b.untilText(row, "3 suspended")
	if got := find().Markets[0].Status; got != sportsbook.MarketSuspended {
		t.Errorf("the market is %s, want suspended", got)
	}
	b.click(row + " td:last-child button")
	b.untilText(row, "3 open")

	b.open("/staff/events/" + e.ID)
	b.untilText("#event-name", e.Name)
	sel := fmt.Sprintf(`[data-sel-row="%s:moneyline:home"]`, e.ID)
	other := fmt.Sprintf(`[data-sel-row="%s:moneyline:away"] input`, e.ID)
	b.fill(other, "+188", sel+" input", "-222")
	b.click(sel + " button")
	b.untilText("#toasts", "−222")
	if got := price(t, find(), sportsbook.Moneyline, "home").String(); got != "-222" {
		t.Errorf("the price is %s, want -222", got)
	}
	if got := value[string](b, fmt.Sprintf(`document.querySelector(%q).value`, other)); got != "+188" {
		t.Errorf("what was typed at the other price is now %q", got)
	}
	b.fill(sel+" input", "-50")
	b.click(sel + " button")
	b.until("a price that is none is refused", `document.querySelector('.toast.bad')`)
	b.fill("#score-away", "6", "#score-home", "7")
	b.click("#score-form button")
	b.untilText("#event-facts", "in play")
	if got := find(); got.AwayScore != 6 || got.HomeScore != 7 {
		t.Errorf("the score is %d-%d, want 6-7", got.AwayScore, got.HomeScore)
	}
	b.click(fmt.Sprintf(`[data-market-card="%s:total"] .danger`, e.ID))
	b.until("the reason is asked for", `document.querySelector('#confirm').open`)
	b.fill("#confirm-reason", "wrong line")
	b.click("#confirm-yes")
	b.untilText(fmt.Sprintf(`[data-market-card="%s:total"]`, e.ID), "void")
	b.open("/staff/players")
	b.untilText("#players", "vi@example.com")
	b.seesMoneyAndShards()
	b.subscribesAWebhook()
	b.open("/staff")
	b.click("#audit-start")
	b.untilText("#audit", "Clean")
	b.untilText("#board-state", "Live")
	b.staffPagesFit(e, row)
}

// seesMoneyAndShards reads the trial balance, follows its link to the CSV, and finds every shard written.
func (b tab) seesMoneyAndShards() {
	b.t.Helper()
	b.open("/staff/finance")
	b.untilText("#trial", "$50.00")
	b.untilText("#trial-totals", "Total USD")
	b.untilText("#ggr", "Nothing was staked or settled")
	b.until("the CSV has the deposit", `fetch(document.querySelector('#trial-csv').href).then((r) => r.text()).then((t) => { window.csv = t; }) && window.csv?.includes('US-NJ,USD,cash,,0.00,50.00')`)
	b.open("/staff/shards")
	b.untilText("#shards-state", "All can be written")
	b.untilText(`[data-shard="1"]`, "writing")
	b.untilText(`[data-shard="1"]`, "512")
	if value[bool](b, `document.querySelector('#shards').textContent.includes('1970')`) {
		b.t.Error("a shard that nothing was written to has a last commit")
	}
}

// subscribesAWebhook makes a subscription to records that never come, so that nothing is sent, and
// pauses it.
func (b tab) subscribesAWebhook() {
	b.t.Helper()
	b.open("/staff/webhooks")
	b.untilText("#webhooks", "Nobody subscribes yet")
	b.fill("#webhook-url", "https://hooks.example.com/matchday", "#webhook-types", "matchday.nothing.*")
	b.click("#webhook-form button")
	b.untilText("#secret", "whsec_")
	b.untilText("#webhooks .tag", "active")
	b.click("#webhooks .staff-actions button:nth-child(1)")
	b.untilText("#webhooks .tag", "paused")
	b.click("#webhooks .staff-actions button:nth-child(3)")
	b.untilText("#deliveries", "Nothing has been delivered yet")
}

// staffPagesFit checks that no page of staff is wider than a phone, a tablet or a desk; wide tables scroll in
// themselves.
func (b tab) staffPagesFit(e sportsbook.Event, row string) {
	b.t.Helper()
	for _, size := range []struct{ width, height int64 }{{390, 844}, {820, 1180}, {1280, 900}} {
		b.do("take another screen", chromedp.EmulateViewport(size.width, size.height))
		for path, ready := range map[string]string{
			"/staff": "#shards .num", "/staff/events": row, "/staff/events/" + e.ID: ".sel-row", "/staff/players": "#players .small",
			"/staff/webhooks": "#webhooks .tag", "/staff/finance": "#trial .num", "/staff/shards": "#shards .num",
		} {
			b.open(path)
			b.until(path+" is there", fmt.Sprintf(`document.querySelector(%q)`, ready))
			if width := value[int64](b, `document.documentElement.scrollWidth`); width > size.width {
				b.t.Errorf("%s is %d px wide on a screen of %d px", path, width, size.width)
			}
			if dir := os.Getenv("MATCHDAY_PICTURES"); dir != "" {
				b.picture(dir, fmt.Sprintf("%d%s.png", size.width, strings.ReplaceAll(path, "/", "-")))
			}
		}
	}
}

func TestBrowserOnAPhone(t *testing.T) {
	p := startProduct(t)
	first, second := p.game(0), p.game(1)
	_, token := p.member("kim", 5000)
	b := p.openBrowser()
	b.do("take a phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
	for _, path := range []string{"/", "/sign-in", "/sign-up", "/play-safe"} {
		b.open(path)
		b.fitsThePhone(path)
	}
	b.as(token)
	for _, path := range []string{"/", "/events/" + first.ID, "/bets", "/account"} {
		b.open(path)
		b.fitsThePhone(path)
	}
	b.do("take a small phone", chromedp.EmulateViewport(360, 780, chromedp.EmulateMobile, chromedp.EmulateTouch))
	b.open("/")
	b.fitsThePhone("/ on a small one")
	b.do("take the phone again", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
	b.open("/")
	b.click(selection(first, sportsbook.Spread, "away"))
	b.click(selection(second, sportsbook.Moneyline, "home"))
	b.untilText(".tabbar [data-slip-count]", "2")
	b.click(".tabbar [data-slip-open]")
	b.until("the sheet is open", `document.querySelector('#slip.open') && getComputedStyle(document.querySelector('#slip')).transform === 'none'`)
	b.fitsThePhone("the sheet")
	b.until("the page behind is inert", `document.querySelector('.bar').inert && document.querySelector('.tabbar').inert`)
	b.fill(".stake-in", "10")
	b.click("#place")
	b.untilText(".receipt", "Bet accepted")
	b.untilText(".receipt", "$10.00")
	b.click("[data-slip-close]")
	b.until("the sheet is closed", `!document.querySelector('#slip.open') && !document.querySelector('.bar').inert`)
	b.open("/bets")
	b.untilText(".bet", "2-leg parlay")
	b.fitsThePhone("/bets with a bet")
}

// fitsThePhone checks that nothing is wider than the screen, that no word of a team's name is broken, and that what one
// presses is large enough for a thumb.
func (b tab) fitsThePhone(what string) {
	b.t.Helper()
	if width := value[int](b, `document.documentElement.scrollWidth - screen.width`); width > 0 {
		wide := value[string](b, `[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > screen.width + 1).slice(0, 5).map((e) => e.tagName + '.' + e.className).join(', ')`)
		b.t.Errorf("%s is %d px too wide for a phone: %s", what, width, wide)
	}
	broken := value[string](b, `[...document.querySelectorAll('.team-name')].flatMap((e) => [...e.textContent.matchAll(/\S+/g)].map((word) => {
			const part = document.createRange();
			part.setStart(e.firstChild, word.index);
			part.setEnd(e.firstChild, word.index + word[0].length);
			return part.getClientRects().length > 1 || e.scrollHeight > e.clientHeight + 1 ? word[0] : '';
		})).filter(Boolean).join(', ')`)
	if broken != "" {
		b.t.Errorf("%s breaks or hides words of names: %s", what, broken)
	}
	small := value[string](b, `[...document.querySelectorAll('.price, .tabbar a, .tabbar button, .chips a, .bar a, input:not([type=hidden]), select, #place, .iconbtn')]
		.filter((e) => e.checkVisibility() && (e.getBoundingClientRect().height < 43.5 || e.getBoundingClientRect().width < 43.5))
		.map((e) => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().width) + 'x' + Math.round(e.getBoundingClientRect().height)).join(', ')`)
	if small != "" {
		b.t.Errorf("%s has targets below 44 px: %s", what, small)
	}
}

// tabTo presses Tab until the focus is on an element of the selector.
func (b tab) tabTo(selector string) {
	b.t.Helper()
	for range 150 {
		b.do("press Tab", chromedp.KeyEvent(kb.Tab))
		if value[bool](b, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
			if !value[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
				b.t.Errorf("%s shows no focus ring", selector)
			}
			return
		}
	}
	b.t.Fatalf("the keyboard does not reach %s\n%s", selector, b.state())
}

func TestBrowserWithTheKeyboardOnly(t *testing.T) {
	p := startProduct(t)
	e := p.game(0)
	p.member("alex", 5000)
	b := p.openBrowser()
	b.open("/sign-in")
	b.tabTo("#email")
	b.do("type", chromedp.KeyEvent("alex@example.com"))
	b.tabTo("#password")
	b.do("type", chromedp.KeyEvent("correct horse battery"))
	b.do("press Enter", chromedp.KeyEvent(kb.Enter))
	b.untilText("h1", "Games")
	b.do("press Tab", chromedp.KeyEvent(kb.Tab))
	if !value[bool](b, `document.activeElement.matches('.skip')`) {
		t.Error("the first stop is not the way past the header")
	}
	b.tabTo(selection(e, sportsbook.Spread, "home"))
	b.do("press Space", chromedp.KeyEvent(" "))
	b.until("the price is pressed", fmt.Sprintf(`document.querySelector(%q).getAttribute('aria-pressed') === 'true'`, selection(e, sportsbook.Spread, "home")))
	b.untilText("#say", "added to the slip")
	b.tabTo(".stake-in")
	b.do("type", chromedp.KeyEvent("7.50"))
	b.untilText("#slip-stake", "$7.50")
	b.do("press Enter", chromedp.KeyEvent(kb.Enter))
	b.untilText(".receipt", "Bet accepted")
	b.untilText("#say", "Bet accepted")
	b.untilText("#balance", "$42.50")
}

func TestBrowserKeepsPlayersApart(t *testing.T) {
	p := startProduct(t)
	e := p.game(0)
	_, first := p.member("ana", 2000)
	_, second := p.member("bo", 0)
	b := p.openBrowser().as(first)
	b.open("/")
	b.click(selection(e, sportsbook.Moneyline, "home"))
	b.fill(".stake-in", "5")
	b.click("#place")
	b.untilText(".receipt", "Bet accepted")
	b.click(selection(e, sportsbook.Total, "over"))
	b.fill(".stake-in", "3")
	b.forget()
	b.as(second)
	b.open("/bets")
	b.untilText("main", "No bets yet")
	b.untilText("#balance", "$0.00")
	b.open("/")
	b.untilText("#slip-body", "Your slip is empty")
	b.click(selection(e, sportsbook.Total, "under"))
	b.until("the second player's price is on the slip", `document.querySelectorAll('[data-pick]').length === 1`)
	b.click(`.foot form[action="/sign-out"] button`)
	b.untilText(".hero", "Join Matchday")
	b.untilText("#slip-body", "Your slip is empty")
	if left := value[string](b, `Object.values(localStorage).join(' ')`); strings.Contains(left, e.ID) {
		t.Errorf("after the sign-out the browser still keeps %s", left)
	}
}

func TestBrowserComputesPayoutsAsThePlatformDoes(t *testing.T) {
	p := startProduct(t)
	b := p.openBrowser()
	b.open("/")
	type question struct {
		Stake  string   `json:"stake"`
		Prices []string `json:"prices"`
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	var questions []question
	var want []string
	for len(questions) < 500 {
		q := question{Stake: strconv.FormatInt(random.Int64N(1_000_000)+1, 10)}
		var prices []odds.Price
		for range random.IntN(8) + 1 {
			american := random.Int64N(900) + 100
			if random.IntN(2) == 0 {
				american = -american
			}
			price, err := odds.American(american)
			if err != nil {
				t.Fatal(err)
			}
			prices = append(prices, price)
			q.Prices = append(q.Prices, price.String())
		}
		stake, _ := strconv.ParseInt(q.Stake, 10, 64)
		pays, err := odds.Payout(stake, prices)
		if err != nil {
			continue // more than any jurisdiction pays
		}
		questions = append(questions, q)
		want = append(want, strconv.FormatInt(pays, 10))
	}
	text, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	module := value[string](b, `document.querySelector('script[type=module]').src.replace('site.js', 'odds.js')`)
	b.do("ask", chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
		`import(%q).then((odds) => { window.answers = %s.map((q) => String(odds.payout(BigInt(q.stake), q.prices))); })`, module, text)))
	b.until("the answers are there", `window.answers`)
	for i, got := range value[[]string](b, `window.answers`) {
		if got != want[i] {
			t.Errorf("seed %d: %s at %v pays %s in the browser, %s on the platform", seed, questions[i].Stake, questions[i].Prices, got, want[i])
		}
	}
}
