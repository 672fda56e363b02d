package sportsbook

import (
	"encoding/base64"
	"testing"
	"time"
)

// FuzzParseCursor checks that a cursor names the same place after it was written again.
func FuzzParseCursor(f *testing.F) {
	f.Add("")
	f.Add(cursorAfter(Event{ID: "nfl_2026_01_gb_chi", StartsAt: kickoff}))
	f.Add(cursorAfter(Event{ID: "a b", StartsAt: time.Time{}}))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("-9223372036854775808 x")))
	f.Add("not a cursor")
	f.Fuzz(func(t *testing.T, cursor string) {
		got, err := parseCursor(cursor)
		if err != nil || cursor == "" {
			return
		}
		again, err := parseCursor(cursorAfter(Event{ID: got.id, StartsAt: got.startsAt}))
		if err != nil || again.id != got.id || !again.startsAt.Equal(got.startsAt) {
			t.Errorf("%q comes back as %+v (%v), want %s at %s", cursor, again, err, got.id, got.startsAt)
		}
	})
}
