package app

import (
	"os"
	"path/filepath"
	"testing"
)

func FuzzLoad(f *testing.F) {
	whole, err := Default("data").YAML()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", string(whole), "listen: [", "ledger:\n  shards: 3\n", "drain_timeout: 5s\nroles: [all]", "a: &a [*a]", "staff: [{name: a}]\n---\n",
		"generated_access: off\nstaff:\n  - {name: ann, password_file: ann.txt, role: admin, jurisdictions: [US-NJ]}\n", "? x\n: y", "!!binary x", "\t", "public_url: https://%zz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "matchday.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		if err != nil {
			return
		}
		_ = c.Warnings()
		if c.Validate() != nil {
			return
		}
		// What is accepted can be printed and loaded again as itself.
		first, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, first, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Load(path)
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		if second, err := again.YAML(); err != nil || string(second) != string(first) {
			t.Errorf("second writing differs (%v):\n%s\n%s", err, first, second)
		}
	})
}
