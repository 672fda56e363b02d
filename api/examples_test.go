package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

var update = flag.Bool("update", false, "write the answers of a real server into examples.json")

func statusText(status int) string { return strconv.Itoa(status) }

func operationsOf(item *huma.PathItem) map[string]*huma.Operation {
	return map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "DELETE": item.Delete, "PUT": item.Put, "PATCH": item.Patch}
}

// TestTheExamplesAreReal sends the examples of the document to a fresh server, in their order, and wants what the
// document says. Answers and bodies are held against their schemas on the way, as in every test.
func TestTheExamplesAreReal(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	story := append([]sample(nil), s.api.examples...)
	for i := range story {
		e := &story[i]
		rt := s.routeByID(e.ID)
		var body any
		if e.Request != nil {
			body = []byte(e.Request)
		}
		path := e.Path
		if e.ID == "ggr" { // the story happens now
			now := s.clock.Now().UTC()
			path = "/v1/ledger/ggr?from=" + now.Add(-24*time.Hour).Format(time.RFC3339) + "&to=" + now.Add(24*time.Hour).Format(time.RFC3339)
		}
		a := s.do(rt.method, path, testKey, body)
		if a.status != e.Status {
			t.Fatalf("%s, %s: status %d, want %d: %s", e.ID, e.Name, a.status, e.Status, a.body)
		}
		if *update {
			e.Answer = a.body
		} else if got, want := plainly(t, a.body), plainly(t, e.Answer); !reflect.DeepEqual(got, want) {
			t.Errorf("%s, %s: answers %s, the example is %s (-update writes it)", e.ID, e.Name, a.body, e.Answer)
		}
	}
	if *update {
		var out bytes.Buffer
		if err := json.Indent(&out, must(json.Marshal(story))(t), "", " "); err != nil {
			t.Fatal(err)
		}
		out.WriteByte('\n')
		if err := os.WriteFile("examples.json", out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *server) routeByID(id string) *route {
	s.t.Helper()
	for _, rt := range s.api.routes {
		if rt.id == id {
			return rt
		}
	}
	s.t.Fatalf("no route has the id %s", id)
	return nil
}

// plainly decodes an answer without what is never the same twice.
func plainly(t *testing.T, raw []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				switch name {
				case "position", "at", "request_id", "next", "from", "to":
					if text, ok := inner.(string); !ok || name != "to" || !strings.Contains(text, "/") { // "to" can be an account
						v[name] = reflect.TypeOf(inner).String()
					}
				default:
					walk(inner)
				}
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(v)
	return v
}

// TestEveryLedgerRouteHasExamples: of what is sent, of a success, and for who moves money of a refusal; and each
// path says what to put into it.
func TestEveryLedgerRouteHasExamples(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, rt := range s.api.routes {
		if rt.tag != "Ledger" {
			continue
		}
		op := operationsOf(s.doc.Paths[rt.path])[rt.method]
		if op.RequestBody != nil && len(op.RequestBody.Content[rt.end.contentType].Examples) == 0 {
			t.Errorf("%s has no example of a request", rt.id)
		}
		if c := op.Responses[statusText(rt.status)].Content["application/json"]; c != nil && len(c.Examples) == 0 {
			t.Errorf("%s has no example of an answer", rt.id)
		}
		if rt.writes {
			if c := op.Responses[statusText(http.StatusPaymentRequired)]; rt.id == "transfer" && len(c.Content["application/problem+json"].Examples) == 0 {
				t.Errorf("%s has no example of a refusal", rt.id)
			}
		}
		for _, p := range op.Parameters {
			if p.In == "path" && rt.end.out != nil && (p.Example == nil || p.Description == "") {
				t.Errorf("%s does not say what %s is", rt.id, p.Name)
			}
		}
	}
}
