package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBannedWords keeps one meaning for each word (docs/GLOSSARY.md). An entry of
// banned_words.txt is a regular expression, then ' => ', then what to say instead.
func TestBannedWords(t *testing.T) {
	t.Parallel()
	type ban struct {
		word    *regexp.Regexp
		instead string
	}
	var bans []ban
	for _, entry := range lines(t, "banned_words.txt") {
		word, instead, ok := strings.Cut(entry, " => ")
		if !ok {
			t.Fatalf("banned_words.txt: %q has no ' => '", entry)
		}
		bans = append(bans, ban{regexp.MustCompile(`(?i)` + word), instead})
	}
	walk(t, func(path string) {
		written := strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".templ") || strings.HasSuffix(path, ".md") || strings.HasSuffix(path, ".sql")
		if !written || strings.HasSuffix(path, "_templ.go") || strings.HasPrefix(path, "internal/arch/") || path == "docs/GLOSSARY.md" {
			return
		}
		text, err := os.ReadFile(filepath.Join(root(t), path))
		if err != nil {
			t.Error(err)
			return
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			for _, b := range bans {
				if b.word.MatchString(line) {
					t.Errorf("%s:%d: %q is banned: %s", path, number, b.word.FindString(line), b.instead)
				}
			}
		}
	})
}

// link finds the target of a Markdown link.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	count := 0
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".md") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root(t), path))
		if err != nil {
			t.Error(err)
			return
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(match[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			count++
			if _, err := os.Stat(filepath.Join(root(t), filepath.Dir(path), target)); err != nil {
				t.Errorf("%s links to %s, which is not there", path, match[1])
			}
		}
	})
	if count == 0 {
		t.Error("no links found: the search is broken")
	}
}
