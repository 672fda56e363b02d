package sportsbook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
)

// maxEvents bounds the offer, which is held in memory.
const maxEvents = 20_000

// catalogue is the offer: durable in a database, whole in memory for those who read it. Reading
// takes no lock that a change holds while it waits for the disk.
type catalogue struct {
	clock clock.Clock
	store catalogueStore

	writing sync.Mutex // one change at a time, from reading the old state to telling subscribers
	version int64      // of the last change; guarded by writing

	mu         sync.RWMutex
	events     map[string]*slot
	markets    map[string]marketRef
	selections map[string]selectionRef
	order      []*slot // by start and id; replaced, never edited

	subscribers subscribers
}

// marketRef says where a market is: its place in an event never changes.
type marketRef struct {
	event  *slot
	market int
}

// selectionRef says where a selection is.
type selectionRef struct {
	event     *slot
	market    int
	selection int
}

// catalogueFile is the name of the database in the room's folder.
const catalogueFile = "catalogue.db"

// openCatalogue opens the database in the folder, brings it up to date and loads the offer.
func openCatalogue(ctx context.Context, dir string, clk clock.Clock) (*catalogue, error) {
	c, err := newCatalogue(dir, sqldb.Options{}, clk)
	if err != nil {
		return nil, err
	}
	err = c.store.db.Migrate(ctx, migrations, clk.Now())
	if err == nil {
		err = c.load(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// readCatalogue loads the offer from its file as it stands, beside the process that owns it. Nothing
// can be changed through it.
func readCatalogue(ctx context.Context, dir string) (*catalogue, error) {
	if _, err := os.Stat(filepath.Join(dir, catalogueFile)); err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	c, err := newCatalogue(dir, sqldb.Options{ReadOnly: true}, nil)
	if err != nil {
		return nil, err
	}
	if err := c.load(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func newCatalogue(dir string, o sqldb.Options, clk clock.Clock) (*catalogue, error) {
	db, err := sqldb.Open(filepath.Join(dir, catalogueFile), o)
	if err != nil {
		return nil, err
	}
	return &catalogue{
		clock: clk, store: catalogueStore{db: db},
		events: make(map[string]*slot), markets: make(map[string]marketRef), selections: make(map[string]selectionRef),
	}, nil
}

// load reads the offer into memory.
func (c *catalogue) load(ctx context.Context) error {
	events, err := c.store.load(ctx)
	if err != nil {
		return err
	}
	for _, e := range events {
		c.version = max(c.version, e.version)
		c.publish(e)
	}
	c.sort()
	return nil
}

// publish makes a state visible. The caller holds writing, or is alone.
func (c *catalogue) publish(e *eventState) {
	c.mu.RLock()
	s := c.events[e.id]
	c.mu.RUnlock()
	known := 0
	if s != nil {
		known = len(s.state.Load().markets)
		s.state.Store(e)
		if known == len(e.markets) {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s == nil {
		s = &slot{}
		s.state.Store(e)
		c.events[e.id] = s
	}
	for i := known; i < len(e.markets); i++ {
		m := &e.markets[i]
		c.markets[m.id] = marketRef{event: s, market: i}
		for k := range m.selections {
			c.selections[m.selections[k].id] = selectionRef{event: s, market: i, selection: k}
		}
	}
}

// sort builds the order of listing again, after events came or moved.
func (c *catalogue) sort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order = slices.SortedFunc(maps.Values(c.events), func(a, b *slot) int {
		return compareOrder(a.state.Load(), b.state.Load())
	})
}

func compareOrder(a, b *eventState) int {
	if n := a.startsAt.Compare(b.startsAt); n != 0 {
		return n
	}
	return strings.Compare(a.id, b.id)
}

// listed returns the events in order of start. The slice is shared: callers only read it.
func (c *catalogue) listed() []*slot {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.order
}

// event returns the current state of an event, nil if there is none.
func (c *catalogue) event(eventID string) *eventState {
	c.mu.RLock()
	s := c.events[eventID]
	c.mu.RUnlock()
	if s == nil {
		return nil
	}
	return s.state.Load()
}

// marketEvent returns the current state of the event that has the market, and the market.
func (c *catalogue) marketEvent(marketID string) (*eventState, *marketState) {
	c.mu.RLock()
	ref, ok := c.markets[marketID]
	c.mu.RUnlock()
	if !ok {
		return nil, nil
	}
	e := ref.event.state.Load()
	return e, &e.markets[ref.market]
}

// selection returns the current state around a selection; false if there is none.
func (c *catalogue) selection(selectionID string) (*eventState, *marketState, int, bool) {
	c.mu.RLock()
	ref, ok := c.selections[selectionID]
	c.mu.RUnlock()
	if !ok {
		return nil, nil, 0, false
	}
	e := ref.event.state.Load()
	return e, &e.markets[ref.market], ref.selection, true
}

// draft is a change being made: the events to publish, with the decisions that go with them.
type draft struct {
	at        time.Time
	catalogue *catalogue
	events    map[string]*eventState
	ids       []string // of events, in the order they were touched
	decisions []Decision
}

// event returns the copy of an event to change.
func (d *draft) event(eventID string) (*eventState, error) {
	if e := d.events[eventID]; e != nil {
		return e, nil
	}
	current := d.catalogue.event(eventID)
	if current == nil {
		return nil, errs.New(errs.CodeNotFound, "no event %.80q", eventID)
	}
	return d.put(current.clone()), nil
}

// market returns a market to change, with its event.
func (d *draft) market(marketID string) (*eventState, *marketState, error) {
	current, _ := d.catalogue.marketEvent(marketID)
	if current == nil {
		return nil, nil, errs.New(errs.CodeNotFound, "no market %.120q", marketID)
	}
	e, err := d.event(current.id)
	if err != nil {
		return nil, nil, err
	}
	return e, e.market(marketID), nil
}

// put adds a new event or the copy of an old one.
func (d *draft) put(e *eventState) *eventState {
	d.events[e.id] = e
	d.ids = append(d.ids, e.id)
	return e
}

// change makes one change of the offer: fn edits copies in a draft; what differs then is written to
// the database with its change log, becomes visible, and is told to subscribers, in that order. An
// error of fn changes nothing.
func (c *catalogue) change(ctx context.Context, actor string, fn func(*draft) error) ([]difference, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	d := &draft{at: c.clock.Now(), catalogue: c, events: make(map[string]*eventState)}
	if err := fn(d); err != nil {
		return nil, err
	}
	changes, sorted := make([]difference, 0, len(d.ids)), true
	fresh := 0
	for _, eventID := range d.ids {
		old, next := c.event(eventID), d.events[eventID]
		diff := compare(old, next, c.version+1, d.at, actor)
		if len(diff.lines) == 0 {
			continue
		}
		if old == nil {
			fresh++
		}
		sorted = sorted && old != nil && old.startsAt.Equal(next.startsAt)
		changes = append(changes, diff)
	}
	if len(changes) == 0 {
		return nil, nil
	}
	if len(c.listed())+fresh > maxEvents {
		return nil, errs.New(errs.CodeTooLarge, "the offer is full: %d events", maxEvents)
	}
	// A caller who goes away now must not leave it open whether the change was made.
	if err := c.store.write(context.WithoutCancel(ctx), changes, d.decisions); err != nil {
		return nil, err
	}
	c.version++
	for i := range changes {
		c.publish(changes[i].next)
	}
	if !sorted {
		c.sort()
	}
	for i := range changes {
		for _, u := range changes[i].updates {
			c.subscribers.tell(u)
		}
	}
	return changes, nil
}

// close closes the database.
func (c *catalogue) close() error { return c.store.db.Close() }

// subscribers are the functions to tell about changes.
type subscribers struct {
	mu   sync.Mutex
	next int
	fns  map[int]func(Update)
}

// add registers fn and returns the function that takes it out.
func (s *subscribers) add(fn func(Update)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fns == nil {
		s.fns = make(map[int]func(Update))
	}
	n := s.next
	s.next++
	s.fns[n] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.fns, n)
	}
}

// tell calls every subscriber in order of subscription.
func (s *subscribers) tell(u Update) {
	s.mu.Lock()
	fns := make([]func(Update), 0, len(s.fns))
	for _, n := range slices.Sorted(maps.Keys(s.fns)) {
		fns = append(fns, s.fns[n])
	}
	s.mu.Unlock()
	for _, fn := range fns {
		fn(u)
	}
}
