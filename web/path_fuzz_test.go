package web

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzLocalPath looks for a way to send somebody to another site after a sign-in.
func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/bets?status=won", "//evil.example", `/\evil.example`, "https://evil.example", "", "/a\nb", "/%2f/evil"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := localPath(text, "/fallback")
		u, err := url.Parse(got)
		if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.HasPrefix(got, `/\`) {
			t.Errorf("localPath(%q) = %q leaves the site", text, got)
		}
	})
}
