package api

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// documented compiles schemas of the OpenAPI document, as it is served, with a library that had no part in making
// it. Every server of the tests has the same document.
var documented struct {
	once     sync.Once
	mu       sync.Mutex // the compiler is for one caller at a time
	compiler *jsonschema.Compiler
}

const documentURL = "matchday:openapi.json"

// schemaAt returns the schema at a place of the document.
func (s *server) schemaAt(place ...string) *jsonschema.Schema {
	s.t.Helper()
	documented.once.Do(func() {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(must(s.doc.MarshalJSON())(s.t)))
		if err != nil {
			s.t.Fatal(err)
		}
		documented.compiler = jsonschema.NewCompiler()
		documented.compiler.DefaultDraft(jsonschema.Draft2020) // which is that of OpenAPI 3.1
		documented.compiler.AssertFormat()
		if err := documented.compiler.AddResource(documentURL, doc); err != nil {
			s.t.Fatal(err)
		}
	})
	documented.mu.Lock()
	defer documented.mu.Unlock()
	var at strings.Builder
	for _, step := range place {
		at.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(step))
	}
	schema, err := documented.compiler.Compile(documentURL + "#" + at.String())
	if err != nil {
		s.t.Fatalf("the document has no schema at %s: %v", at.String(), err)
	}
	return schema
}

// wantFits reports JSON that does not fit the schema at a place of the document.
func (s *server) wantFits(raw []byte, what string, place ...string) {
	s.t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		s.t.Errorf("%s is invalid JSON: %v", what, err)
		return
	}
	if err := s.schemaAt(place...).Validate(v); err != nil {
		s.t.Errorf("%s does not fit its schema: %v\n%s", what, err, raw)
	}
}

// checkSchema holds every JSON answer of every test against the document, every JSON body that was taken, and
// whether an answer says which history it comes from.
func (s *server) checkSchema(r *http.Request, sent []byte, resp *http.Response, raw []byte) {
	s.t.Helper()
	_, pattern := s.patterns.Handler(r)
	if pattern == "" {
		return
	}
	rt := s.routeOf(pattern, r.URL.Path)
	item := s.doc.Paths[rt.path]
	op := operationsOf(item)[rt.method]
	status := statusText(resp.StatusCode)
	if op.Responses[status] == nil {
		status = "default"
	}
	said, given := op.Responses[status].Headers["Matchday-History"] != nil, resp.Header.Get("Matchday-History") != ""
	if problem := resp.StatusCode >= 400; given && !said || said && !given && !problem { // a problem may come to no history
		s.t.Errorf("%s answers %d with Matchday-History: %t, documented: %t", pattern, resp.StatusCode, given, said)
	}
	kind := resp.Header.Get("Content-Type")
	if kind != "application/json" && kind != "application/problem+json" {
		return
	}
	if op.Responses[status].Content[kind] == nil {
		s.t.Errorf("%s answers %d %s, which is not documented: %s", pattern, resp.StatusCode, kind, raw)
		return
	}
	place := []string{"paths", rt.path, strings.ToLower(rt.method)}
	s.wantFits(raw, "the answer of "+pattern, append(place, "responses", status, "content", kind, "schema")...)
	each := rt.id == "transfer-batch" // takes items that are wrong, and answers each of them so
	if resp.StatusCode < 300 && rt.end.contentType == "application/json" && !each {
		s.wantFits(sent, "a body that was taken by "+pattern, append(place, "requestBody", "content", "application/json", "schema")...)
	}
}

// routeOf returns the row of the table that a request is for.
func (s *server) routeOf(pattern, sent string) *route {
	s.t.Helper()
	method, path, _ := strings.Cut(pattern, " ")
	if path == "/v1/ledger/accounts/{address...}" {
		path = "/v1/ledger/accounts/{address}"
		for _, suffix := range []string{"/postings", "/holds", "/limits", "/metadata"} {
			if strings.HasSuffix(sent, suffix) {
				path += suffix
			}
		}
	}
	for _, rt := range s.api.routes {
		if rt.method == method && rt.path == path {
			return rt
		}
	}
	s.t.Fatalf("no route is %s", pattern)
	return nil
}

// TestTheSchemasRefuse: what the checks of all tests stand on can fail.
func TestTheSchemasRefuse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	place := []string{"paths", "/v1/ledger/transfers", "post", "requestBody", "content", "application/json", "schema"}
	for name, body := range map[string]string{
		"a field that is unknown":   `{"key":"k","kind":"stake","player_id":"p","jurisdiction":"US-NJ","currency":"USD","postings":[{"account":"a","amount":"1"},{"account":"b","amount":"-1"}],"x":1}`,
		"a field that is missing":   `{"kind":"stake","player_id":"p","jurisdiction":"US-NJ","currency":"USD","postings":[{"account":"a","amount":"1"},{"account":"b","amount":"-1"}]}`,
		"a kind that is none":       `{"key":"k","kind":"bribe","player_id":"p","jurisdiction":"US-NJ","currency":"USD","postings":[{"account":"a","amount":"1"},{"account":"b","amount":"-1"}]}`,
		"an amount that is a float": `{"key":"k","kind":"stake","player_id":"p","jurisdiction":"US-NJ","currency":"USD","postings":[{"account":"a","amount":1.5},{"account":"b","amount":"-1"}]}`,
		"one posting":               `{"key":"k","kind":"stake","player_id":"p","jurisdiction":"US-NJ","currency":"USD","postings":[{"account":"a","amount":"1"}]}`,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if s.schemaAt(place...).Validate(v) == nil {
			t.Errorf("%s fits", name)
		}
	}
	when, err := jsonschema.UnmarshalJSON(strings.NewReader(`"yesterday"`))
	if err != nil {
		t.Fatal(err)
	}
	if s.schemaAt("components", "schemas", "TransferResult", "properties", "at").Validate(when) == nil {
		t.Error("yesterday is a time")
	}
}
