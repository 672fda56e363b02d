package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/jurisdiction"
	"matchday/sportsbook"
	"matchday/stream"
)

// hub brings changes to the open live streams. Rooms tell it what changed and never wait for it:
// it notes which events and which players' bets are stale, at most one note for each, and the
// goroutine of Run and of each client fetch the news from the rooms. So a burst costs a slow reader
// detail, not us memory.
type hub struct {
	cfg           Config
	book          *sportsbook.Service
	history       *history.Service
	jurisdictions *jurisdiction.Registry
	clock         clock.Clock
	log           *slog.Logger
	metrics       *metrics
	rates         *rates

	mu       sync.RWMutex
	clients  map[*client]struct{}
	byPlayer map[id.Player][]*client
	perOne   map[string]int

	offerMu sync.Mutex
	offers  map[offerNote]struct{}
	wake    chan struct{}
}

// offerNote is one thing of the offer that has changed.
type offerNote struct {
	kind    sportsbook.UpdateKind
	eventID string
	market  string
}

// client is one open stream.
type client struct {
	player       id.Player // "" for a visitor
	jurisdiction id.Jurisdiction
	one          string // player or address, for the bound on streams of one
	wake         chan struct{}

	mu      sync.Mutex
	queue   [][]byte // messages ready to send
	bets    map[id.Bet]struct{}
	balance bool
	dropped bool
}

func newHub(cfg Config, d Deps, m *metrics, r *rates) *hub {
	return &hub{cfg: cfg, book: d.Sportsbook, history: d.History, jurisdictions: d.Jurisdictions, clock: d.Clock, log: d.Log,
		metrics: m, rates: r, clients: map[*client]struct{}{}, byPlayer: map[id.Player][]*client{}, perOne: map[string]int{},
		offers: map[offerNote]struct{}{}, wake: make(chan struct{}, 1)}
}

// run listens to the rooms and sends offer changes out until ctx is done.
func (h *hub) run(ctx context.Context) {
	defer h.book.Subscribe(h.offerChanged)()
	defer h.history.Subscribe(h.recordsApplied)()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
			h.sendOffers(ctx)
		}
	}
}

// offerChanged notes a change of the offer; sportsbook calls it and must not be kept waiting.
func (h *hub) offerChanged(u sportsbook.Update) {
	h.offerMu.Lock()
	h.offers[offerNote{u.Kind, u.EventID, u.MarketID}] = struct{}{}
	h.offerMu.Unlock()
	signal(h.wake)
}

// signal wakes a waiter, who looks at everything there is.
func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// recordsApplied counts what history has just made visible and notes which clients it concerns.
func (h *hub) recordsApplied(b stream.Batch) {
	now := h.clock.Now()
	var counts [rateKinds]int64
	h.mu.RLock()
	for i := range b.Records {
		r := &b.Records[i]
		switch r.Type {
		case stream.TypeDepositCompleted:
			counts[rateDeposits]++
		case stream.TypeBetPlaced:
			counts[rateBets]++
		case stream.TypeBetSettled:
			if pays(r.Data) {
				counts[ratePayouts]++
			}
		}
		for _, c := range h.byPlayer[r.Player] {
			c.note(r, h.cfg.LiveQueue)
		}
	}
	h.mu.RUnlock()
	for kind, n := range counts {
		if n > 0 {
			h.rates.count(rateKind(kind), n, now)
		}
	}
}

// pays reports whether a settlement's record moves money to the player.
func pays(data []byte) bool {
	minor, err := stream.ParsePayout(data)
	return err == nil && minor > 0
}

// note remembers that a record concerns the client.
func (c *client) note(r *stream.Record, most int) {
	c.mu.Lock()
	c.balance = true
	if r.Type == stream.TypeBetPlaced || r.Type == stream.TypeBetSettled {
		if c.bets == nil {
			c.bets = map[id.Bet]struct{}{}
		}
		if len(c.bets) < most {
			c.bets[id.Bet(r.Subject)] = struct{}{}
		} else {
			c.dropped = true
		}
	}
	c.mu.Unlock()
	signal(c.wake)
}

// push queues a message; a client with a full queue is dropped and may come back.
func (c *client) push(message []byte, most int) {
	c.mu.Lock()
	if len(c.queue) < most {
		c.queue = append(c.queue, message)
	} else {
		c.dropped = true
	}
	c.mu.Unlock()
	signal(c.wake)
}

// sendOffers makes the messages of all noted changes, once for each jurisdiction that is watched.
func (h *hub) sendOffers(ctx context.Context) {
	h.offerMu.Lock()
	notes := h.offers
	h.offers = make(map[offerNote]struct{})
	h.offerMu.Unlock()
	watching := map[id.Jurisdiction][]*client{}
	h.mu.RLock()
	for c := range h.clients {
		watching[c.jurisdiction] = append(watching[c.jurisdiction], c)
	}
	h.mu.RUnlock()
	for j, clients := range watching {
		for note := range notes {
			e, err := h.book.FindEvent(ctx, j, note.eventID)
			if err != nil {
				if !errs.Is(err, errs.CodeNotFound) { // not offered there: nothing to tell
					h.log.WarnContext(ctx, "live offer not read", "event_id", note.eventID, "error", err)
				}
				continue
			}
			for _, message := range offerMessages(note, &e) {
				for _, c := range clients {
					c.push(message, h.cfg.LiveQueue)
				}
			}
		}
	}
}

// offerMessages returns what one change looks like now. A message carries the whole state of what it
// is about, with versions, so that one that is repeated or overtaken does no harm.
func offerMessages(note offerNote, e *sportsbook.Event) [][]byte {
	var out [][]byte
	switch note.kind {
	case sportsbook.UpdateScore, sportsbook.UpdateResult, sportsbook.UpdateEvent:
		out = append(out, message("score", scoreOf(e)))
	case sportsbook.UpdateStatus:
		if note.market == "" {
			out = append(out, message("score", scoreOf(e)))
		}
	}
	for i := range e.Markets {
		m := &e.Markets[i]
		if note.market != "" && note.market != m.ID || note.kind == sportsbook.UpdateScore {
			continue
		}
		if note.kind != sportsbook.UpdatePrice {
			out = append(out, message("market", LiveMarket{EventID: e.ID, MarketID: m.ID, Status: string(m.Status), Version: m.Version}))
			continue
		}
		for _, s := range m.Selections {
			out = append(out, message("price", LivePrice{EventID: e.ID, MarketID: m.ID, SelectionID: s.ID, Line: lineText(s.Line),
				Price: s.Price.String(), PriceDecimal: s.Price.Decimal(), Version: s.Version}))
		}
	}
	return out
}

func scoreOf(e *sportsbook.Event) LiveScore {
	return LiveScore{EventID: e.ID, Status: string(e.Status), HomeScore: e.HomeScore, AwayScore: e.AwayScore,
		ResultVersion: e.ResultVersion, Version: e.Version}
}

// message is one server-sent event. v is one of our own types and always has JSON.
func message(event string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return []byte(": " + event + " was not encodable\n\n")
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event, data)
}

// join adds a client, within the bounds.
func (h *hub) join(c *client) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) >= h.cfg.LiveClients {
		return &errs.Error{Code: errs.CodeUnavailable, Detail: "too many live streams", RetryAfter: 5 * time.Second}
	}
	if h.perOne[c.one] >= h.cfg.LiveClientsPerOne {
		return &errs.Error{Code: errs.CodeRateLimited, Detail: "too many live streams of this client", RetryAfter: 5 * time.Second}
	}
	h.clients[c] = struct{}{}
	h.perOne[c.one]++
	if c.player != "" {
		h.byPlayer[c.player] = append(h.byPlayer[c.player], c)
	}
	h.metrics.liveClients.Inc()
	return nil
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
	if h.perOne[c.one]--; h.perOne[c.one] <= 0 {
		delete(h.perOne, c.one)
	}
	if c.player != "" {
		var rest []*client
		for _, other := range h.byPlayer[c.player] {
			if other != c {
				rest = append(rest, other)
			}
		}
		if h.byPlayer[c.player] = rest; len(rest) == 0 {
			delete(h.byPlayer, c.player)
		}
	}
	h.metrics.liveClients.Dec()
}

// serveLive is GET /v1/live: it ends when the client goes, reads too slowly, its session ends, or
// the process stops.
func (a *API) serveLive(ctx context.Context, c *call) error {
	if c.r.Method != http.MethodGet { // ServeMux takes HEAD for GET, and this one has no end
		return &statusError{http.StatusMethodNotAllowed, errs.New(errs.CodeInvalid, "this path has the method GET")}
	}
	j, err := c.jurisdiction()
	if err != nil {
		return err
	}
	s := c.caller.session
	me := &client{player: s.Player, jurisdiction: j, one: orElse(string(s.Player), address(c.r)), wake: make(chan struct{}, 1),
		balance: s.Player != ""}
	if err := a.live.join(me); err != nil {
		return err
	}
	defer a.live.leave(me)
	out := newLiveWriter(c.w)
	// The server's time-outs are for requests, not for streams; each write has its own watchdog.
	_ = out.c.SetReadDeadline(time.Time{})
	_ = out.c.SetWriteDeadline(time.Time{})
	header := c.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // proxies pass events on at once
	if !out.write([]byte("retry: 2000\n" + string(message("hello", map[string]bool{"resumed": false})))) {
		return nil
	}
	signal(me.wake)
	a.feed(ctx, c, me, out)
	return nil
}

// feed writes to one client until there is a reason to stop.
func (a *API) feed(ctx context.Context, c *call, me *client, out *liveWriter) {
	heartbeat := time.NewTicker(a.cfg.LiveHeartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.closing:
			return
		case <-heartbeat.C:
			if c.caller.token != "" {
				if _, err := a.deps.Players.Authenticate(ctx, c.caller.token); err != nil {
					return // signed out elsewhere, or expired
				}
			}
			if !out.write([]byte(": still here\n\n")) {
				return
			}
		case <-me.wake:
			if !a.deliver(ctx, c, me, out) {
				return
			}
		}
	}
}

// deliver writes everything that is waiting for a client; false ends the stream.
func (a *API) deliver(ctx context.Context, c *call, me *client, out *liveWriter) bool {
	me.mu.Lock()
	queue, bets, balance, dropped := me.queue, me.bets, me.balance, me.dropped
	me.queue, me.bets, me.balance = nil, nil, false
	me.mu.Unlock()
	if dropped {
		a.metrics.liveDropped.Inc()
		return false
	}
	for _, m := range queue {
		if !out.write(m) {
			return false
		}
	}
	s := c.caller.session
	for bet := range bets {
		b, err := a.deps.History.Find(ctx, s.Player, s.Jurisdiction, bet, nil)
		if err != nil && !errs.Is(err, errs.CodeNotFound) {
			a.log.DebugContext(ctx, "live bet not read", "error", err)
			return false
		}
		if err == nil && !out.write(message("bet", betOf(b))) {
			return false
		}
	}
	if !balance {
		return true
	}
	b, err := a.balanceOfPlayer(ctx, s, a.deps.Ledger.Balance)
	if err != nil {
		a.log.DebugContext(ctx, "live balance not read", "error", err)
		return false // the client reconnects and asks again
	}
	return out.write(message("balance", b))
}

// liveWriter writes events and flushes each at once. A write that a client does not take in time
// ends its stream: the connection's buffer is the last queue there is.
type liveWriter struct {
	w http.ResponseWriter
	c *http.ResponseController
}

const liveWriteTimeout = 10 * time.Second

func newLiveWriter(w http.ResponseWriter) *liveWriter {
	return &liveWriter{w: w, c: http.NewResponseController(w)}
}

// write sends one message. The watchdog unblocks a write that the client does not take.
func (l *liveWriter) write(message []byte) bool {
	watchdog := time.AfterFunc(liveWriteTimeout, func() { _ = l.c.SetWriteDeadline(time.Unix(1, 0)) })
	defer watchdog.Stop()
	if _, err := l.w.Write(message); err != nil {
		return false
	}
	return l.c.Flush() == nil
}
