package app_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestBrowserPictures takes the pictures of docs/images from a running Matchday, for example one
// that plays a game day:
//
//	MATCHDAY_PICTURES=DIR MATCHDAY_URL=http://127.0.0.1:8080 MATCHDAY_STAFF_PASSWORD=... go test -run Pictures ./app
func TestBrowserPictures(t *testing.T) {
	dir, url, password := os.Getenv("MATCHDAY_PICTURES"), os.Getenv("MATCHDAY_URL"), os.Getenv("MATCHDAY_STAFF_PASSWORD")
	if dir == "" || url == "" {
		t.Skip("set MATCHDAY_PICTURES to a folder and MATCHDAY_URL to a running Matchday to take pictures")
	}
	b := product{t: t}.openBrowserAt(url)
	b.open("/sign-up")
	email := fmt.Sprintf("picture-%d@example.com", time.Now().UnixNano())
	b.fill("#display_name", "Robin", "#email", email, "#password", "correct horse battery", "#birth_date", "1990-05-17")
	b.click("main form button[type=submit]")
	b.until("the account is there", `document.querySelector("#deposit-amount")`)
	b.fill("#deposit-amount", "250")
	b.click(`[data-payment="deposit"] [type=submit]`)
	b.untilText("#balance", "$250.00")
	fill := `(() => {
		const open = [...document.querySelectorAll('.price:not([disabled])')];
		const picks = [open[0], open.find((p) => p.dataset.event !== open[0].dataset.event && p.dataset.type === 'total')];
		for (const p of picks) if (p?.getAttribute('aria-pressed') === 'false') p.click();
	})()`
	b.open("/")
	b.do("fill the slip", chromedp.Evaluate[chromedp.Void](fill))
	b.fill(".stake-in", "20")
	b.picture(dir, "home.png")
	b.do("take a phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateScale(1.5)),
		chromedp.Func(emulateDark))
	b.open("/")
	b.click(".tabbar [data-slip-open]")
	b.until("the sheet is open", `document.querySelector('#slip.open') && getComputedStyle(document.querySelector('#slip')).transform === 'none'`)
	b.picture(dir, "slip.png")
	if password == "" {
		return
	}
	s := b.another()
	s.do("take a desk", chromedp.EmulateViewport(1280, 860))
	s.open("/staff/sign-in")
	s.fill("#name", "staff", "#password", password)
	s.click("main form button[type=submit]")
	s.untilText("#board-state", "Live")
	s.until("the figures are there", `!document.querySelector('.skeleton')`)
	s.picture(dir, "board.png")
}
