package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"matchday/errs"
)

// openAPI is what these tests read of the document.
type openAPI struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Parameters  []struct {
			Name, In string
			Required bool
		}
		RequestBody *struct{ Content map[string]any } `json:"requestBody"`
		Responses   map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
		Security []map[string][]string
	}
	Components struct {
		Schemas         map[string]any
		SecuritySchemes map[string]any `json:"securitySchemes"`
	}
}

func TestTheDocumentCoversEveryRoute(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.do("GET", "/openapi.json", "", nil).want(http.StatusOK)
	doc := into[openAPI](a)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi %q, want 3.1", doc.OpenAPI)
	}
	ids, operations := map[string]bool{}, 0
	for _, rt := range s.api.routes {
		op, ok := doc.Paths[rt.path][strings.ToLower(rt.method)]
		if !ok {
			t.Errorf("%s %s is not in the document", rt.method, rt.path)
			continue
		}
		if ids[op.OperationID] || op.OperationID == "" {
			t.Errorf("operation id %q is used twice or empty", op.OperationID)
		}
		ids[op.OperationID] = true
		if _, ok := op.Responses["default"].Content["application/problem+json"]; !ok {
			t.Errorf("%s documents no problem", op.OperationID)
		}
		if (rt.end.in != nil) != (op.RequestBody != nil) {
			t.Errorf("%s has a body: %t, documents one: %t", op.OperationID, rt.end.in != nil, op.RequestBody != nil)
		}
		wanted := 1
		if rt.right != "" {
			wanted = 2
			if len(op.Security) == 2 && op.Security[1]["service"] == nil {
				t.Errorf("%s does not document that services with a key may call it", op.OperationID)
			}
		}
		if rt.who != whoPublic && (len(op.Security) != wanted || op.Security[0][rt.who.String()] == nil) {
			t.Errorf("%s needs %s, documents %v", op.OperationID, rt.who, op.Security)
		}
		for _, name := range pathParam.FindAllStringSubmatch(rt.path, -1) {
			if !contains(op.Parameters, func(i int) bool { p := op.Parameters[i]; return p.In == "path" && p.Name == name[1] && p.Required }) {
				t.Errorf("%s does not document path parameter %s", op.OperationID, name[1])
			}
		}
	}
	for _, methods := range doc.Paths {
		operations += len(methods)
	}
	if got, want := operations, len(s.api.routes); got != want {
		t.Errorf("the document has %d operations, want %d", got, want)
	}
	checkRefs(t, a.body, doc)
}

func contains[T any](list []T, fits func(int) bool) bool {
	for i := range list {
		if fits(i) {
			return true
		}
	}
	return false
}

// checkRefs: every $ref leads to a schema, and every object's required fields exist and refuse others.
func checkRefs(t *testing.T, raw []byte, doc openAPI) {
	t.Helper()
	var all any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				name, ok := strings.CutPrefix(ref, "#/components/schemas/")
				if _, known := doc.Components.Schemas[name]; !ok || !known {
					t.Errorf("$ref %s leads nowhere", ref)
				}
			}
			properties, _ := v["properties"].(map[string]any)
			if required, ok := v["required"].([]any); ok && properties != nil {
				for _, name := range required {
					if _, ok := properties[name.(string)]; !ok {
						t.Errorf("required field %v is not a property of %v", name, v)
					}
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(all)
}

func TestTheDocumentSaysWhatTheDecoderDoes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	doc := into[openAPI](s.do("GET", "/openapi.json", "", nil))
	bet, _ := doc.Components.Schemas["BetRequest"].(map[string]any)
	if bet["additionalProperties"] != false {
		t.Errorf("BetRequest allows unknown fields: %v", bet["additionalProperties"])
	}
	leg, _ := doc.Components.Schemas["LegRequest"].(map[string]any)
	line, _ := leg["properties"].(map[string]any)["line"].(map[string]any)
	if kinds, ok := line["type"].([]any); !ok || len(kinds) != 2 {
		t.Errorf("a leg's line has type %v, want string or null", line["type"])
	}
}

func TestDocsPageNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	page := string(s.do("GET", "/docs", "", nil).want(http.StatusOK).body)
	for _, outside := range []string{"http://", "https://", "<script", "@import", "url("} {
		if strings.Contains(page, outside) {
			t.Errorf("the docs page has %q", outside)
		}
	}
	for _, rt := range s.api.routes {
		if !strings.Contains(page, `id="`+rt.id+`"`) || !strings.Contains(page, rt.path) {
			t.Errorf("the docs page lacks %s", rt.path)
		}
	}
	for _, code := range errs.Codes() {
		if !strings.Contains(page, `id="`+string(code)+`"`) {
			t.Errorf("the docs page lacks the code %s that a problem's type links to", code)
		}
	}
	if !strings.Contains(page, "legs[].selection_id") {
		t.Error("the docs page lacks fields of bodies")
	}
	s.do("GET", "/docs/style.css", "", nil).want(http.StatusOK)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.do("GET", "/healthz", "", nil).want(http.StatusOK)
	s.do("GET", "/readyz", "", nil).want(http.StatusOK)
	s.do("GET", "/v1/jurisdictions", "", nil).want(http.StatusOK)
	if got := string(s.do("GET", "/metrics", "", nil).want(http.StatusOK).body); !strings.Contains(got,
		`matchday_api_requests_total{code="ok",jurisdiction="none",route="GET /v1/jurisdictions"} 1`) {
		t.Error("the request is not in the metrics")
	}
	if err := s.api.Close(); err != nil {
		t.Fatal(err)
	}
	s.do("GET", "/readyz", "", nil).want(http.StatusServiceUnavailable)
	s.do("GET", "/healthz", "", nil).want(http.StatusOK)
}

// TestTheDocumentIsEnoughToGenerateClients: each operation has an id, a summary, a typed answer and its
// refusals; no schema leaves open what it is; each problem says its codes.
func TestTheDocumentIsEnoughToGenerateClients(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	doc := into[openAPI](s.do("GET", "/openapi.json", "", nil).want(http.StatusOK))
	for _, rt := range s.api.routes {
		op := doc.Paths[rt.path][strings.ToLower(rt.method)]
		if rt.summary == "" || rt.tag == "" {
			t.Errorf("%s has no summary or no tag", rt.id)
		}
		success := 0
		for status, response := range op.Responses {
			if strings.HasPrefix(status, "2") {
				success++
				for kind, content := range response.Content {
					if content.Schema == nil {
						t.Errorf("%s answers %s %s without a schema", rt.id, status, kind)
					}
				}
			}
		}
		if success == 0 || len(op.Responses) < 3 {
			t.Errorf("%s documents %d responses, %d of them a success", rt.id, len(op.Responses), success)
		}
	}
	problem, _ := doc.Components.Schemas["Problem"].(map[string]any)
	code, _ := problem["properties"].(map[string]any)["code"].(map[string]any)
	if listed, _ := code["enum"].([]any); len(listed) != len(errs.Codes()) {
		t.Errorf("Problem lists %d codes, want %d", len(listed), len(errs.Codes()))
	}
	for name, schema := range doc.Components.Schemas {
		properties, _ := schema.(map[string]any)["properties"].(map[string]any)
		for field, of := range properties {
			of, _ := of.(map[string]any)
			if field != "data" && of["type"] == nil && of["$ref"] == nil && of["anyOf"] == nil && of["oneOf"] == nil {
				t.Errorf("%s.%s does not say what it is: %v", name, field, of)
			}
		}
	}
}
