package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"matchday/ledger"
)

// TestTheKeysShownAreTheKeysAccepted: a service meets its keys as it sent them, in lists and in errors, and
// never those of another or of the platform.
func TestTheKeysShownAreTheKeysAccepted(t *testing.T) {
	t.Parallel()
	const other = "another service's key"
	s := newServer(t, func(c *Config) {
		sum := sha256.Sum256([]byte(other))
		c.Keys = append(c.Keys, ServiceKey{Name: "other", SHA256: hex.EncodeToString(sum[:])})
	})
	player := newPlayerID()
	cash, account := cashOf(player), "/v1/ledger/accounts/"+cashOf(player)
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "d-1", "100.00")).want(http.StatusCreated)
	s.do("POST", "/v1/ledger/transfers", other, depositOf(player, "d-2", "100.00")).want(http.StatusCreated)
	until := time.Now().Add(time.Hour)
	for by, key := range map[string]string{testKey: "h-1", other: "h-2"} {
		s.do("POST", "/v1/ledger/holds", by, HoldRequest{Key: key, PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD", ExpiresAt: until,
			Postings: []PostingJSON{{cash, "-20.00"}, {"bets/US-NJ/casino", "20.00"}}}).want(http.StatusCreated)
	}
	for by, want := range map[string][]string{testKey: {"", "h-1"}, other: {"", "h-2"}} {
		raw := s.do("GET", account+"/holds", by, nil).want(http.StatusOK)
		var keys []string
		for _, h := range into[List[HoldLine]](raw).Items {
			keys = append(keys, h.Key)
		}
		slices.Sort(keys)
		if !slices.Equal(keys, want) || strings.Contains(string(raw.body), "api/") {
			t.Errorf("holds %s, want the keys %q and nobody's name", raw.body, want)
		}
	}
	raw := s.do("GET", account+"/postings", testKey, nil).want(http.StatusOK)
	if lines := into[List[StatementLine]](raw).Items; len(lines) != 2 || lines[0].Key != "" || lines[1].Key != "d-1" || strings.Contains(string(raw.body), "api/") {
		t.Errorf("postings %s, want the caller's keys alone", raw.body)
	}
	resolve := func(hold, key string) answer {
		return s.do("POST", "/v1/ledger/holds/"+hold+"/post", testKey, ResolveRequest{Key: key, PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD"})
	}
	said := func(a answer, code, text string) {
		t.Helper()
		if p := a.wantCode(code); !strings.Contains(p.Detail, text) || strings.Contains(p.Detail, "api/") {
			t.Errorf("answer %s, want %q in the detail", a.body, text)
		}
	}
	said(resolve("h-2", "p-2"), "not_found", "no hold h-2")
	resolve("h-1", "p-1").want(http.StatusCreated)
	said(resolve("h-1", "p-3"), "conflict", "hold h-1 has ended")
	said(s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "d-1", "99.00")), "conflict", "d-1")
	batch := s.do("POST", "/v1/ledger/transfers/batch", testKey, BatchRequest{Transfers: []TransferRequest{depositOf(player, "d-1", "98.00")}}).want(http.StatusOK)
	if strings.Contains(string(batch.body), "api/") {
		t.Errorf("batch %s names the ledger's own key", batch.body)
	}
}

func TestHoldsSayWhatTheyNeed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player := newPlayerID()
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "money", "100.00")).want(http.StatusCreated)
	ask := HoldRequest{Key: "h", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD", ExpiresAt: time.Now().Add(time.Hour),
		Postings: []PostingJSON{{cashOf(player), "-20.00"}, {"bets/US-NJ/casino", "20.00"}}}
	before := s.state()
	if r := into[TransferResult](s.do("POST", "/v1/ledger/holds?dry_run=true", testKey, ask).want(http.StatusOK)); r.Position != "" {
		t.Errorf("a hold that was tried has position %s", r.Position)
	}
	if s.state() != before {
		t.Error("trying a hold changed something")
	}
	s.do("POST", "/v1/ledger/holds", testKey, ask).want(http.StatusCreated)
	end := ResolveRequest{PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD"}
	for key, want := range map[string]string{"": "is required: a new key", "h": "is the hold's"} {
		end.Key = key
		p := s.do("POST", "/v1/ledger/holds/h/release", testKey, end).wantCode("invalid")
		if len(p.Errors) != 1 || p.Errors[0].Location != "key" || !strings.Contains(p.Errors[0].Message, want) {
			t.Errorf("key %q: %+v, want %q", key, p.Errors, want)
		}
	}
	if p := s.do("POST", "/v1/ledger/holds/h/release", testKey, "").wantCode("invalid"); !strings.Contains(p.Detail, "empty") {
		t.Errorf("no body: %q", p.Detail)
	}
	end.Key = "r"
	s.do("POST", "/v1/ledger/holds/h/release?dry_run=true", testKey, end).want(http.StatusOK)
	s.do("POST", "/v1/ledger/holds/h/post?dry_run=true", testKey, end).want(http.StatusOK)
	s.do("POST", "/v1/ledger/holds/h/post", testKey, end).want(http.StatusCreated)
}

// TestKindsAndAddressesAreListed: where they are wrong, and in the document.
func TestKindsAndAddressesAreListed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ask := depositOf(newPlayerID(), "k", "1.00")
	ask.Kind, ask.Postings[0].Account = "gift", "my/pocket"
	p := s.do("POST", "/v1/ledger/transfers", testKey, ask).wantCode("invalid")
	if len(p.Errors) != 2 || !strings.Contains(p.Errors[0].Message, "deposit, stake, settlement") || !strings.Contains(p.Errors[1].Message, "psp/{provider}/{jurisdiction}") {
		t.Errorf("errors %+v, want the kinds and the forms of addresses", p.Errors)
	}
	doc := into[openAPI](s.do("GET", "/openapi.json", "", nil).want(http.StatusOK))
	transfer, _ := doc.Components.Schemas["TransferRequest"].(map[string]any)
	properties, _ := transfer["properties"].(map[string]any)
	kind, _ := properties["kind"].(map[string]any)
	listed, _ := kind["enum"].([]any)
	if len(listed) != len(serviceKinds) || !strings.Contains(kind["description"].(string), "stake takes from cash and gives to bets") {
		t.Errorf("kind is documented as %v", kind)
	}
	for _, k := range listed {
		if _, err := ledger.ParseKind(k.(string)); err != nil {
			t.Error(err)
		}
	}
	for name, schema := range doc.Components.Schemas {
		properties, _ := schema.(map[string]any)["properties"].(map[string]any)
		for field, of := range properties {
			if kinds, ok := of.(map[string]any)["type"].([]any); ok && slices.Contains(kinds, any("array")) {
				t.Errorf("%s.%s is a list or null: lists are never null", name, field)
			}
		}
	}
}

// TestTheDocumentOfTheLedgerListsTheKinds holds the table of docs/ledger-api.md against what services may do.
func TestTheDocumentOfTheLedgerListsTheKinds(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/ledger-api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range serviceKinds {
		name := "`" + k.Kind.String() + "`"
		if k.Grouped {
			name += ", in groups only"
		}
		row := "| " + name + " | " + strings.Join(k.Debits, ", ") + " | " + strings.Join(k.Credits, ", ") + " |"
		if have := sorted(string(text), name); have != sorted(row, name) {
			t.Errorf("docs/ledger-api.md has %q, want %q", have, row)
		}
	}
}

// sorted returns the words of the table's row that begins with the name, in order.
func sorted(text, name string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| "+name+" |") {
			words := strings.Fields(strings.NewReplacer(",", " ", "|", " | ").Replace(line))
			slices.Sort(words)
			return strings.Join(words, " ")
		}
	}
	return ""
}
