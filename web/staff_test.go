package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"matchday/history"
	"matchday/id"
	"matchday/player"
)

// theirs is the address of the pages that staff see of the player.
const theirs = "/staff/players/US-NJ/plr_01jb2m7k3v9q8w5x4y6z7a0b1c"

func TestStaffSeeAPlayersBets(t *testing.T) {
	t.Parallel()
	s, w := newStage(t)
	const bets = theirs + "/bets"
	for path, want := range map[string][]string{
		theirs: {"Robin &lt;b&gt;", "robin@example.com", "$1,234.09", "+$19.09", `href="` + bets + `"`, `href="` + bets + `/bet_01jb2m7k3v9q8w5x4y6z7a0b1f">Stake`},
		bets: {"Bets of Robin &lt;b&gt;", "2-leg parlay", `href="` + bets + `/bet_01jb2m7k3v9q8w5x4y6z7a0b1e"`, `href="` + bets + `?status=won"`,
			"Read position <code>3-4711</code>, behind by 0 ms", `href="/v1/operator/players/plr_01jb2m7k3v9q8w5x4y6z7a0b1c/bets/export?jurisdiction=US-NJ"`, `href="/v1/operator/players/plr_01jb2m7k3v9q8w5x4y6z7a0b1c/bets/export.csv?jurisdiction=US-NJ"`},
		bets + "?event=ev2&from=2026-11-01":      {`href="` + bets + `?from=2026-11-01" aria-label="Remove the filter Game`},
		bets + "/bet_01jb2m7k3v9q8w5x4y6z7a0b1d": {"Settled again: lost", "position <code>3-12</code>", `href="` + theirs + `">Account statement`},
		bets + "/bet_01jb2m7k3v9q8w5x4y6z7a0b1f": {`href="/staff/events/ev2"`},
		bets + "/summary?by=year":                {`href="` + bets + `?from=2026-01-01&amp;to=2026-12-31"`, "−$95.00"},
		"/staff/players":                         {`action="/staff/players/find"`},
	} {
		rec := visit(w, path, cookie(staffCookie, staffToken))
		for _, text := range want {
			if !strings.Contains(rec.Body.String(), text) {
				t.Errorf("GET %s: status %d, without %q", path, rec.Code, text)
			}
		}
	}
	if q := s.asked[0]; q.Player != "plr_01jb2m7k3v9q8w5x4y6z7a0b1c" || q.Jurisdiction != "US-NJ" {
		t.Errorf("asked for %+v", q)
	}
	rec := visit(w, "/staff/players/find?jurisdiction=US-NJ&id=+plr_01jb2m7k3v9q8w5x4y6z7a0b1c", cookie(staffCookie, staffToken))
	if got := rec.Header().Get("Location"); rec.Code != 303 || got != theirs {
		t.Errorf("a number leads to %q with status %d", got, rec.Code)
	}
}

func TestStaffSeeNoMoreThanTheyMay(t *testing.T) {
	t.Parallel()
	staff := cookie(staffCookie, staffToken)
	const who = "/plr_01jb2m7k3v9q8w5x4y6z7a0b1c"
	for _, below := range []string{"", "/bets", "/bets/summary", "/bets/bet_01jb2m7k3v9q8w5x4y6z7a0b1f"} {
		for _, tt := range []struct {
			name, path string
			cookie     *http.Cookie
			status     int
		}{
			{"a jurisdiction of theirs", "/staff/players/US-NJ" + who, staff, 200},
			{"one that is not", "/staff/players/US-PA" + who, staff, 403},
			{"one that does not exist", "/staff/players/XX-XX" + who, staff, 403},
			{"a player of another jurisdiction", "/staff/players/CA-ON" + who, staff, 404},
			{"what is no player", "/staff/players/US-NJ/plr_1", staff, 404},
			{"a player's session", "/staff/players/US-NJ" + who, cookie(sessionCookie, token), 303},
			{"a player's token as that of staff", "/staff/players/US-NJ" + who, cookie(staffCookie, token), 303},
			{"nobody", "/staff/players/US-NJ" + who, cookie("other", ""), 303},
		} {
			s, w := newStage(t)
			rec := visit(w, tt.path+below, tt.cookie)
			if rec.Code != tt.status {
				t.Errorf("%s: GET %s has status %d, want %d", tt.name, tt.path+below, rec.Code, tt.status)
			}
			if allowed := tt.status == 200; allowed != strings.Contains(s.log.String(), `msg="staff read a player's`) || !allowed && len(s.asked)+len(s.sums) > 0 {
				t.Errorf("%s: GET %s: the log says %q", tt.name, tt.path+below, s.log.String())
			}
			if tt.status != 200 && strings.Contains(rec.Body.String(), "Robin") {
				t.Errorf("%s: GET %s names the player", tt.name, tt.path+below)
			}
		}
	}
	_, w := newStage(t)
	for path, want := range map[string]int{
		"/staff/players/find?jurisdiction=US-PA&id=plr_01jb2m7k3v9q8w5x4y6z7a0b1c": 403, "/staff/players/find?jurisdiction=US-NJ&id=x": 404, "/staff/players/find": 403,
	} {
		if rec := visit(w, path, staff); rec.Code != want || !strings.Contains(rec.Body.String(), `href="/staff"`) {
			t.Errorf("GET %s: status %d, want %d and the way to the board", path, rec.Code, want)
		}
	}
}

func TestThatStaffReadIsLoggedWithoutNames(t *testing.T) {
	t.Parallel()
	s, w := newStage(t)
	visit(w, theirs+"/bets?sport=chess", cookie(staffCookie, staffToken))
	got := s.log.String()
	for _, want := range []string{"by=sam", "player_id=plr_01jb2m7k3v9q8w5x4y6z7a0b1c", "jurisdiction=US-NJ", "/bets\""} {
		if !strings.Contains(got, want) {
			t.Errorf("the log has no %s: %s", want, got)
		}
	}
	if strings.Contains(got, "Robin") || strings.Contains(got, "robin@") || strings.Contains(got, "chess") {
		t.Errorf("the log names the player or what was asked: %s", got)
	}
}

func TestViewersMayRead(t *testing.T) {
	t.Parallel()
	s, w := newStage(t)
	s.tokens["a-viewer's-token"] = player.Session{ID: "s3", Staff: "vi", Role: player.RoleViewer, Jurisdictions: []id.Jurisdiction{"US-NJ"}, ExpiresAt: now.Add(time.Hour)}
	if rec := visit(w, theirs+"/bets", cookie(staffCookie, "a-viewer's-token")); rec.Code != 200 {
		t.Errorf("status %d", rec.Code)
	}
}

// copying is a second history that is half there.
func copying() history.NextStatus {
	return history.NextStatus{
		Choice: history.Choice{Shown: history.ShownShare, Share: 5, Players: []id.Player{"plr_01jb2m7k3v9q8w5x4y6z7a0b1c"}}, At: now,
		Copy: []history.FillProgress{
			{Shard: 0, Done: true, Bets: 1_200_000, Expected: 1_200_000, Rate: 18_000, Lag: 12 * time.Millisecond},
			{Shard: 1, Bets: 300_000, Expected: 1_000_000, Rate: 9_500, Left: 74 * time.Second, Lag: 30 * time.Millisecond, Waiting: "the first history is behind"},
		},
		Equal: []history.Comparison{
			{Shard: 0, Passes: 3, At: now.Add(-time.Minute), Bets: 1_200_000}, {Shard: 1, Passes: 1, At: now.Add(-2 * time.Minute), Bets: 250_000},
		},
	}
}

func TestTheBoardTellsOfASecondHistory(t *testing.T) {
	t.Parallel()
	s, w := newStage(t)
	board := func() string { return visit(w, "/staff", cookie(staffCookie, staffToken)).Body.String() }
	if strings.Contains(board(), "Second history") {
		t.Error("the board tells of a second history that there is not")
	}
	s.next = copying()
	body := board()
	for _, want := range []string{"Second history", "Copying", "5 % of the players, and 1 by name, see the second.", "1,500,000 of 2,200,000 bets copied. It takes 74 seconds more.",
		"Last compared at 16:58:00 UTC: 1,450,000 bets, 0 different.", "the first history is behind"} {
		if !strings.Contains(body, want) {
			t.Errorf("the board does not say %q", want)
		}
	}
	if strings.Contains(body, "plr_01jb2m7k3v9q8w5x4y6z7a0b1c") {
		t.Error("the board names a player, whoever may see it")
	}
}

func TestTheStateOfASecondHistory(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		change          func(*history.NextStatus)
		state, who, and string
	}{
		{"just opened", func(s *history.NextStatus) { s.Copy, s.Equal = nil, nil }, "Not fed", "5 %", ""},
		{"cannot be opened", func(s *history.NextStatus) { s.Trouble = "no such host" }, "Not fed", "5 %", ""},
		{"no estimate yet", func(s *history.NextStatus) { s.Copy[1].Left = 0 }, "Copying", "5 %", "How long it still takes is not known yet."},
		{"whole, not compared", func(s *history.NextStatus) { s.Copy[1].Done, s.Equal[1].Passes = true, 0 }, "Not compared yet", "5 %", "The copy is whole."},
		{"whole and equal", func(s *history.NextStatus) { s.Copy[1].Done = true }, "Equal", "5 %", "The copy is whole."},
		{"a bet differs", func(s *history.NextStatus) { s.Copy[1].Done, s.Equal[0].Different = true, 1 }, "Differs", "5 %", ""},
		{"a bet may differ", func(s *history.NextStatus) { s.Copy[1].Done, s.Equal[0].Suspected = true, 1 }, "Differs", "5 %", ""},
		{"cannot be compared", func(s *history.NextStatus) { s.Equal[0].Problem = "time-out" }, "Not compared", "5 %", ""},
		{"shown to all", func(s *history.NextStatus) { s.Copy[1].Done, s.Shown = true, history.ShownSecond }, "Equal", "Everybody sees the second.", ""},
		{"shown to nobody", func(s *history.NextStatus) { s.Copy[1].Done, s.Shown = true, history.ShownFirst }, "Equal", "Everybody sees the first.", ""},
	} {
		s := copying()
		tt.change(&s)
		v := second(s)
		if v.State != tt.state || !strings.Contains(v.Who, tt.who) || !strings.Contains(v.Estimate, tt.and) {
			t.Errorf("%s: %q, %q, %q; want %q, %q, %q", tt.name, v.State, v.Who, v.Estimate, tt.state, tt.who, tt.and)
		}
	}
}
