package api

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"matchday/errs"
	"matchday/history"
	"matchday/stream"
)

// apiVersion is the version of the contract, not of the program: fields and routes are added within it.
const apiVersion = "1.0.0"

const apiText = `Real-money betting over one ledger. Amounts are decimal strings with their currency, prices are American
strings with decimal odds beside them, times are RFC 3339 UTC, ids are opaque. Errors are problem+json (RFC 9457): decide by their
code. Mutations of money take Idempotency-Key; answers to writes carry Matchday-Position, which reads accept to see at least that
write. Unknown fields, repeated fields and unknown query parameters are refused.`

var pathParam = regexp.MustCompile(`\{([a-z_]+)\}`)

// document builds the OpenAPI document from the table of routes.
func (a *API) document() *huma.OpenAPI {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Matchday API", Version: apiVersion, Description: strings.ReplaceAll(apiText, "\n", " ")},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
			"player":  {Type: "http", Scheme: "bearer", Description: "Token of POST /v1/sessions; pages of the same site may use the cookie " + cookiePlayer},
			"staff":   {Type: "http", Scheme: "bearer", Description: "Token of POST /v1/operator/sessions; pages may use the cookie " + cookieStaff},
			"service": {Type: "http", Scheme: "bearer", Description: "API key of a service"},
		}},
	}
	problem := registry.Schema(reflect.TypeFor[Problem](), true, "Problem")
	codes := registry.Map()["Problem"].Properties["code"]
	for _, code := range errs.Codes() {
		codes.Enum = append(codes.Enum, string(code))
	}
	for _, rt := range a.routes {
		op := rt.operation(registry, problem)
		rt.addExamples(op, a.examples)
		doc.AddOperation(op)
	}
	doc.Servers = []*huma.Server{{URL: "/", Description: "The process that serves this document"}}
	describe(registry.Map())
	return doc
}

// describe adds what the types of Go do not say: lists are never null, and which kinds and addresses there
// are.
func describe(schemas map[string]*huma.Schema) {
	for _, s := range schemas {
		for _, field := range s.Properties {
			if field.Type == huma.TypeArray {
				field.Nullable = false
			}
		}
	}
	kind := schemas["TransferRequest"].Properties["kind"]
	for _, name := range kindNames() {
		kind.Enum = append(kind.Enum, name)
	}
	kind.Description = kindsText()
	schemas["PostingJSON"].Properties["account"].Description = "One of the forms " + addressForms
}

// operation documents one route.
func (rt *route) operation(registry huma.Registry, problem *huma.Schema) *huma.Operation {
	op := &huma.Operation{Method: rt.method, Path: rt.path, OperationID: rt.id, Summary: rt.summary, Description: rt.about(),
		Tags: []string{rt.tag}, Parameters: rt.parameters(), Responses: map[string]*huma.Response{
			"default": {Description: "Problem", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}},
		}}
	switch {
	case rt.who != whoPublic:
		for _, w := range rt.callers() {
			op.Security = append(op.Security, map[string][]string{w.String(): {}})
		}
	case !rt.limited:
		op.Security = []map[string][]string{{}, {whoPlayer.String(): {}}}
	default:
		op.Security = []map[string][]string{}
	}
	if rt.end.in != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			rt.end.contentType: {Schema: registry.Schema(rt.end.in, true, rt.id+"Request")}}}
	}
	answer := &huma.Response{Description: "Done"}
	status := rt.status
	switch {
	case rt.endless:
		answer.Content = map[string]*huma.MediaType{orElse(rt.streams, "text/event-stream"): {Schema: &huma.Schema{Type: huma.TypeString}}}
	case rt.end.out != nil:
		answer.Content = map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(rt.end.out, true, rt.id+"Answer")}}
	default:
		status = http.StatusNoContent
	}
	if rt.end.csv {
		answer.Content["text/csv"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	for status, about := range rt.refusals() {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: about,
			Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}}
		if status != http.StatusUnauthorized && status != http.StatusForbidden {
			op.Responses[strconv.Itoa(status)].Headers = rt.problemHeaders()
		}
	}
	op.Responses["default"].Headers = rt.problemHeaders()
	answer.Headers = rt.headers()
	op.Responses[strconv.Itoa(status)] = answer
	if slices.ContainsFunc(rt.params, func(p param) bool { return p.name == paramDryRun.name }) {
		op.Responses[strconv.Itoa(http.StatusOK)] = responseLike(answer)
	}
	if rt.tag == "Money" && rt.keyed {
		op.Responses[strconv.Itoa(http.StatusAccepted)] = answer
	}
	return op
}

// callers are who may call a route that is not for everybody.
func (rt *route) callers() []who {
	if rt.right != "" && rt.who == whoStaff {
		return []who{whoStaff, whoService}
	}
	return []who{rt.who}
}

// about is the description of the route.
func (rt *route) about() string {
	if rt.right == "" {
		return rt.detail
	}
	return strings.TrimSpace(rt.detail + " A service needs a key with the right `" + rt.right + "`.")
}

// headers documents the headers of a success.
func (rt *route) headers() map[string]*huma.Header {
	switch {
	case rt.writes:
		return map[string]*huma.Header{"Matchday-Position": {Description: "Position at which the write is visible",
			Schema: &huma.Schema{Type: huma.TypeString}}}
	case rt.history:
		return historyHeader("Which bet history answered: second only where one is being taken into use beside the first")
	}
	return nil
}

// problemHeaders documents the headers of a problem.
func (rt *route) problemHeaders() map[string]*huma.Header {
	if !rt.history {
		return nil
	}
	return historyHeader("Which bet history was asked; absent where the request came to no history")
}

func historyHeader(about string) map[string]*huma.Header {
	return map[string]*huma.Header{"Matchday-History": {Description: about,
		Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{string(history.ShownFirst), string(history.ShownSecond)}}}}
}

// refusals are the statuses that a caller of the route should expect besides success.
func (rt *route) refusals() map[int]string {
	out := map[int]string{http.StatusServiceUnavailable: "unavailable: try again, with the same key", http.StatusInternalServerError: "internal"}
	if rt.who != whoPublic {
		out[http.StatusUnauthorized] = "unauthenticated"
		out[http.StatusForbidden] = "forbidden"
	}
	if rt.limited {
		out[http.StatusTooManyRequests] = "rate_limited"
	}
	if rt.end.in != nil {
		out[http.StatusRequestEntityTooLarge] = "too_large"
		out[http.StatusUnsupportedMediaType] = "invalid: another content type than documented"
	}
	if rt.end.in != nil || len(rt.params) > 0 || rt.reads {
		out[http.StatusUnprocessableEntity] = "invalid, or limit_reached where money moves"
	}
	if strings.Contains(rt.path, "{") {
		out[http.StatusNotFound] = "not_found"
		if rt.reads { // the bet history ends somewhere
			out[http.StatusGone] = "gone: no longer kept"
		}
	}
	if rt.end.in != nil && rt.method != http.MethodGet {
		out[http.StatusConflict] = "conflict"
	}
	if rt.end.in != nil && (rt.keyed || rt.tag == "Ledger") {
		out[http.StatusPaymentRequired] = "insufficient_funds"
	}
	return out
}

// parameters documents path, query and header parameters.
func (rt *route) parameters() []*huma.Param {
	text := func(enum []string) *huma.Schema {
		s := &huma.Schema{Type: huma.TypeString}
		for _, e := range enum {
			s.Enum = append(s.Enum, e)
		}
		return s
	}
	var out []*huma.Param
	for _, name := range pathParam.FindAllStringSubmatch(rt.path, -1) {
		out = append(out, &huma.Param{Name: name[1], In: "path", Required: true, Description: pathDocs[name[1]], Schema: text(nil)})
	}
	for _, p := range rt.params {
		out = append(out, &huma.Param{Name: p.name, In: "query", Required: p.required, Description: p.doc, Example: example(p.example), Schema: text(p.enum)})
	}
	if rt.keyed {
		schema := text(nil)
		schema.Pattern = "^[A-Za-z0-9._~-]{1,64}$"
		out = append(out, &huma.Param{Name: "Idempotency-Key", In: "header", Required: true, Schema: schema,
			Description: "Your key for this request: a retry with the same key answers as the first time"})
	}
	if rt.reads {
		out = append(out, &huma.Param{Name: "Matchday-Position", In: "header", Example: stream.Position{Shard: 0, Seq: 42}.String(), Schema: text(nil),
			Description: "Answer with at least this position included"})
	}
	return out
}

func example(text string) any {
	if text == "" {
		return nil
	}
	return text
}

//go:embed docs.html.tmpl
var docsTemplate string

//go:embed docs.css
var docsStyle []byte

// docsPage is what the template shows.
type docsPage struct {
	Info   *huma.Info
	Groups []docsGroup
	Codes  []docsCode
}

type docsGroup struct {
	Name   string
	Routes []docsRoute
}

type docsRoute struct {
	ID, Method, Path, Summary, Detail, Who, BodyType, AnswerType string
	Status                                                       int
	Params                                                       []*huma.Param
	Body, Answer                                                 []docsField
}

type docsField struct {
	Name, Type, Doc string
	Required        bool
}

type docsCode struct {
	Code, Title string
	Status      int
}

// buildDocs renders the document and its page once; both are served from memory.
func (a *API) buildDocs(mux *http.ServeMux) error {
	doc := a.document()
	raw, err := doc.MarshalJSON()
	if err != nil {
		return fmt.Errorf("openapi document: %w", err)
	}
	page, err := a.renderDocs(doc)
	if err != nil {
		return fmt.Errorf("docs page: %w", err)
	}
	for path, file := range map[string]struct {
		contentType string
		body        []byte
	}{
		"/openapi.json":   {"application/openapi+json", raw},
		"/docs":           {"text/html; charset=utf-8", page},
		"/docs/style.css": {"text/css; charset=utf-8", docsStyle},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", file.contentType)
			w.Header().Set("Cache-Control", "no-cache")
			_, _ = w.Write(file.body)
		})
	}
	return nil
}

// renderDocs makes the page from the document and the table of routes.
func (a *API) renderDocs(doc *huma.OpenAPI) ([]byte, error) {
	tmpl, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return nil, err
	}
	page := docsPage{Info: doc.Info}
	for _, rt := range a.routes {
		i := slices.IndexFunc(page.Groups, func(g docsGroup) bool { return g.Name == rt.tag })
		if i < 0 {
			i = len(page.Groups)
			page.Groups = append(page.Groups, docsGroup{Name: rt.tag})
		}
		page.Groups[i].Routes = append(page.Groups[i].Routes, rt.docs(doc.Components.Schemas))
	}
	for _, code := range errs.Codes() {
		page.Codes = append(page.Codes, docsCode{string(code), answers[code].title, answers[code].status})
	}
	var out appender
	if err := tmpl.Execute(&out, page); err != nil {
		return nil, err
	}
	return out, nil
}

// docs is one route as the page shows it.
func (rt *route) docs(schemas huma.Registry) docsRoute {
	var callers []string
	for _, w := range rt.callers() {
		callers = append(callers, w.String())
	}
	out := docsRoute{ID: rt.id, Method: rt.method, Path: rt.path, Summary: rt.summary, Detail: rt.about(), Who: strings.Join(callers, ", "),
		Status: rt.status, Params: rt.parameters()}
	if rt.end.in != nil {
		out.BodyType = rt.end.contentType
		out.Body = docsFields(schemas, schemas.Schema(rt.end.in, true, ""))
	}
	switch {
	case rt.endless:
		out.AnswerType = orElse(rt.streams, "text/event-stream")
	case rt.end.out == nil:
		out.Status = http.StatusNoContent
	default:
		out.AnswerType = "application/json"
		out.Answer = docsFields(schemas, schemas.Schema(rt.end.out, true, ""))
	}
	return out
}

// docsFields lists the fields of an object, and of the objects in it, with dotted names.
func docsFields(schemas huma.Registry, s *huma.Schema) []docsField {
	var out []docsField
	var walk func(prefix string, s *huma.Schema, depth int)
	walk = func(prefix string, s *huma.Schema, depth int) {
		const deepest = 5
		s = resolved(schemas, s)
		if s == nil || depth > deepest {
			return
		}
		for _, name := range slices.SortedFunc(maps.Keys(s.Properties), byRequired(s)) {
			field := s.Properties[name]
			target, suffix := resolved(schemas, field), ""
			if target != nil && target.Type == huma.TypeArray {
				target, suffix = resolved(schemas, target.Items), "[]"
			}
			if target == nil {
				continue
			}
			out = append(out, docsField{Name: prefix + name + suffix, Type: typeText(target), Doc: cmp.Or(field.Description, target.Description),
				Required: slices.Contains(s.Required, name)})
			walk(prefix+name+suffix+".", target, depth+1)
		}
	}
	walk("", s, 0)
	return out
}

// byRequired puts required fields first, then by name.
func byRequired(s *huma.Schema) func(a, b string) int {
	return func(a, b string) int {
		if ra, rb := slices.Contains(s.Required, a), slices.Contains(s.Required, b); ra != rb {
			if ra {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	}
}

func resolved(schemas huma.Registry, s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// typeText is a short word for a schema's type.
func typeText(s *huma.Schema) string {
	text := cmp.Or(s.Type, "any")
	if s.Format != "" {
		text += " " + s.Format
	}
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			words[i] = fmt.Sprint(e)
		}
		text = strings.Join(words, " | ")
	}
	if s.Nullable {
		text += " | null"
	}
	return text
}
