package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// examplesFile is a story told to a fresh server, call by call. A test tells it to a real one, wants these very
// answers, and writes them with -update.
//
//go:embed examples.json
var examplesFile []byte

// sample is one call and what it is answered.
type sample struct {
	ID      string          `json:"id"` // of the route
	Name    string          `json:"name"`
	Summary string          `json:"summary"`
	Path    string          `json:"path"` // as it is sent, with its query
	Status  int             `json:"status"`
	Request json.RawMessage `json:"request,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
}

// readExamples returns the story.
func readExamples() ([]sample, error) {
	var out []sample
	if err := json.Unmarshal(examplesFile, &out); err != nil {
		return nil, fmt.Errorf("examples of the document: %w", err)
	}
	return out, nil
}

// addExamples gives an operation the calls of the story that are its own, and its path the values of the first.
func (rt *route) addExamples(op *huma.Operation, story []sample) {
	for _, e := range story {
		if e.ID != rt.id {
			continue
		}
		values := rt.pathValues(e.Path)
		for _, p := range op.Parameters {
			if value := values[p.Name]; p.In == "path" && value != "" && p.Example == nil {
				p.Example = value
			}
		}
		if op.RequestBody != nil && e.Request != nil {
			addExample(op.RequestBody.Content[rt.end.contentType], e, e.Request)
		}
		kind := "application/json"
		if e.Status >= 400 {
			kind = "application/problem+json"
		}
		if response := op.Responses[strconv.Itoa(e.Status)]; response != nil && e.Answer != nil {
			addExample(response.Content[kind], e, e.Answer)
		}
	}
}

func addExample(to *huma.MediaType, e sample, value json.RawMessage) {
	if to == nil {
		return
	}
	if to.Examples == nil {
		to.Examples = map[string]*huma.Example{}
	}
	to.Examples[e.Name] = &huma.Example{Summary: e.Summary, Value: value}
}

// pathValues returns the parameters of a path that was sent.
func (rt *route) pathValues(sent string) map[string]string {
	sent, _, _ = strings.Cut(sent, "?")
	found := regexp.MustCompile("^" + pathParam.ReplaceAllString(rt.path, "(.+)") + "$").FindStringSubmatch(sent)
	out := map[string]string{}
	for i, name := range pathParam.FindAllStringSubmatch(rt.path, -1) {
		if i+1 < len(found) {
			out[name[1]] = found[i+1]
		}
	}
	return out
}

// pathDocs say what the parameters of paths are.
var pathDocs = map[string]string{
	"address": "Of an account; slashes may be sent as they are or as %2F",
	"key":     "Of the hold, as the calling service sent it",
}

// responseLike is a response of its own with the contents of another, so that each has its own examples.
func responseLike(r *huma.Response) *huma.Response {
	out := *r
	out.Content = map[string]*huma.MediaType{}
	for kind, content := range r.Content {
		own := *content
		out.Content[kind] = &own
	}
	return &out
}
