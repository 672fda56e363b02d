package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"matchday/player"
)

// who says who may call a route. The zero value is nobody: a route without it is refused by build.
type who uint8

const (
	whoPublic  who = iota + 1 // anybody; a session that comes along is used
	whoPlayer                 // a signed-in player
	whoStaff                  // a signed-in member of staff
	whoService                // a service with an API key
)

// String returns the name that documents show.
func (w who) String() string {
	switch w {
	case whoPublic:
		return "public"
	case whoPlayer:
		return "player"
	case whoStaff:
		return "staff"
	case whoService:
		return "service"
	}
	return "nobody"
}

// route is one row of the table of routes: all there is to say about it.
type route struct {
	method  string
	path    string // as the document spells it
	mux     string // as ServeMux spells it, if different; "-" is served by another row
	id      string // operation id
	tag     string
	summary string
	detail  string
	who     who
	role    player.Role // of staff; zero is RoleViewer
	params  []param     // query parameters; others are refused
	status  int         // of success; 0 is 200
	maxBody int64       // 0 is Config.MaxBodyBytes
	keyed   bool        // needs Idempotency-Key
	writes  bool        // answers Matchday-Position
	reads   bool        // accepts Matchday-Position
	history bool        // answers Matchday-History
	right   string      // of a key with which services may call it, as staff do; "" is none
	endless bool        // no time limit
	streams string      // content type of an answer without a time limit that the handler writes; "" is none
	limited bool        // counts against the sign-in limit
	end     endpoint
}

// param is one query parameter.
type param struct {
	name, doc, example string
	enum               []string
	required           bool
}

// The parameters that many routes have.
var (
	paramCursor       = param{name: "cursor", doc: "Next of the page before"}
	paramLimit        = param{name: "limit", doc: "Items on a page, 1 to 200; 50 if absent", example: "50"}
	paramJurisdiction = param{name: "jurisdiction", doc: "Code of the jurisdiction", example: "US-NJ"}
	paramStatus       = param{name: "status", doc: "Only events in this status", enum: []string{"scheduled", "live", "ended"}}
	paramFrom         = param{name: "from", doc: "Only lines of this time or later (RFC 3339)", example: "2026-11-01T00:00:00Z"}
	paramTo           = param{name: "to", doc: "Only lines before this time (RFC 3339)", example: "2026-12-01T00:00:00Z"}
	paramKinds        = param{name: "kinds", doc: "Only lines of these kinds, separated by commas", example: "stake,settlement"}
	paged             = []param{paramCursor, paramLimit}
	selected          = []param{paramCursor, paramLimit, paramFrom, paramTo, paramKinds}
)

// endpoint is a handler with the types of its body and answer.
type endpoint struct {
	in, out     reflect.Type // nil: none
	contentType string       // of the body
	run         func(ctx context.Context, c *call) (any, error)
	answered    bool // the handler writes its answer itself, unless it returns an error
	csv         bool // the answer can be CSV too
}

// reading is an endpoint without a body.
func reading[Out any](fn func(ctx context.Context, c *call) (Out, error)) endpoint {
	return endpoint{out: outType[Out](), run: func(ctx context.Context, c *call) (any, error) {
		return fn(ctx, c)
	}}
}

// showing is reading for a handler that answers for more than one row of the table: Out is what this
// row documents.
func showing[Out any](fn func(ctx context.Context, c *call) (any, error)) endpoint {
	e := reading(fn)
	e.out = outType[Out]()
	return e
}

// taking is an endpoint with a JSON body of type In.
func taking[In, Out any](fn func(ctx context.Context, c *call, in *In) (Out, error)) endpoint {
	run := func(ctx context.Context, c *call) (any, error) {
		in := new(In)
		if err := c.decodeBody(in); err != nil {
			return nil, err
		}
		return fn(ctx, c, in)
	}
	return endpoint{in: reflect.TypeFor[In](), out: outType[Out](), contentType: "application/json", run: run}
}

// takingFile is an endpoint that gets its body as it came; it must not keep it.
func takingFile[Out any](contentType string, fn func(ctx context.Context, c *call, body []byte) (Out, error)) endpoint {
	run := func(ctx context.Context, c *call) (any, error) {
		body, done, err := c.readBody()
		if err != nil {
			return nil, err
		}
		defer done()
		return fn(ctx, c, body)
	}
	return endpoint{in: reflect.TypeFor[string](), out: outType[Out](), contentType: contentType, run: run}
}

// answering is an endpoint that writes its answer itself.
func answering(fn func(ctx context.Context, c *call) error) endpoint {
	return endpoint{answered: true, run: func(ctx context.Context, c *call) (any, error) {
		return nil, fn(ctx, c)
	}}
}

// outType is nil for None.
func outType[Out any]() reflect.Type {
	if t := reflect.TypeFor[Out](); t != reflect.TypeFor[None]() {
		return t
	}
	return nil
}

// table returns every route of /v1.
func (a *API) table() []*route {
	booksOnly := a.deps.isBooksOnly()
	var all []*route
	for _, part := range [][]route{
		a.playerRoutes(), a.paymentRoutes(), a.betRoutes(), a.historyRoutes(), a.offerRoutes(),
		a.operatorRoutes(), a.operatorOfferRoutes(), a.insightRoutes(), a.ledgerRoutes(),
		a.ledgerReadRoutes(), a.ledgerFeatureRoutes(), a.reportRoutes(), a.webhookRoutes(), a.moveRoutes(), a.profileRoutes(), a.secondRoutes(),
	} {
		for i := range part {
			if booksOnly && a.deps.serves(part[i].right) {
				part[i].who = whoService // nobody could sign in
			}
			if booksOnly && part[i].who != whoService { // services talk to the books, all others to other rooms too
				continue
			}
			all = append(all, &part[i])
		}
	}
	return all
}

// build makes the handler of all routes and documents.
func (a *API) build() (http.Handler, error) {
	mux := http.NewServeMux()
	a.routes = a.table()
	for _, rt := range a.routes {
		if rt.who < whoPublic || rt.who > whoService {
			return nil, fmt.Errorf("api: %s %s does not say who may call it", rt.method, rt.path)
		}
		rt.endless = rt.endless || rt.streams != ""
		rt.status = orElse(rt.status, http.StatusOK)
		rt.maxBody = orElse(rt.maxBody, a.cfg.MaxBodyBytes)
		rt.role = orElse(rt.role, player.RoleViewer)
		if rt.mux == "-" {
			continue
		}
		mux.Handle(rt.method+" "+orElse(rt.mux, rt.path), a.serve(rt))
	}
	mux.Handle("/v1/", a.serveUnknown(mux))
	var err error
	if a.examples, err = readExamples(); err != nil {
		return nil, err
	}
	if err := a.buildDocs(mux); err != nil {
		return nil, err
	}
	health{log: a.log, gatherer: a.deps.Gatherer, ready: a.deps.Ready, books: a.deps.Ledger, closing: a.closing}.build(mux)
	return a.secure(mux), nil
}

// secure sets the headers that every answer of this room has.
func (a *API) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"] = nosniff
		h["Referrer-Policy"] = noReferrer
		h["X-Frame-Options"] = denyFrames
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			h["Content-Security-Policy"] = noContent
		} else {
			h["Content-Security-Policy"] = ownContent
		}
		next.ServeHTTP(w, r)
	})
}

// Header values are shared between answers: never changed after this.
var (
	nosniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	denyFrames = []string{"DENY"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	ownContent = []string{"default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'"}
	noStore    = []string{"no-store"}
	jsonType   = []string{"application/json"}
)
