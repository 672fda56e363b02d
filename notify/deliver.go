package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"matchday/errs"
	"matchday/stream"
)

const (
	sendsAtOnce   = 8   // requests of one subscription under way
	roundSize     = 32  // deliveries taken at a time
	purgeEvery    = 200 // rounds
	maxAnswer     = 4 << 10
	firstPause    = time.Second
	longestPause  = 10 * time.Minute
	maxDetailText = 200

	// slowAfter is how long a round waits for the next answer. Then it ends, and requests that still hang are left to
	// later ones: they hold up their players only.
	slowAfter = 100 * time.Millisecond
	// fullAfter is the same while every slot is taken and more is due: to end the round would send nothing sooner, and where every receiver
	// took longer than slowAfter a DBTx for each turn of the slots would file what one for a round does.
	fullAfter = time.Second
)

// worker delivers to one subscription.
type worker struct {
	service *Service
	id      string
	woken   chan struct{}
	stop    context.CancelFunc
	rounds  int

	busy     map[string]bool // players with a request under way, or one whose outcome is not filed
	ended    chan outcome    // of requests; with room for all, so that none waits for a round
	requests sync.WaitGroup
}

func newWorker(s *Service, subscription string, stop context.CancelFunc) *worker {
	return &worker{service: s, id: subscription, stop: stop, woken: make(chan struct{}, 1), busy: map[string]bool{},
		ended: make(chan outcome, sendsAtOnce)}
}

func (w *worker) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// run delivers what is due until ctx is done and no request is under way.
func (w *worker) run(ctx context.Context) {
	defer w.requests.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		more, err := w.round(ctx)
		if err != nil && ctx.Err() == nil {
			w.service.log.ErrorContext(ctx, "webhook deliveries not filed", "subscription_id", w.id, "error", err)
		}
		if more && err == nil && ctx.Err() == nil {
			continue
		}
		ended := w.ended
		if err != nil {
			ended = nil // a database that is away is asked again with the next tick
		}
		select {
		case <-ctx.Done():
			return
		case o := <-ended:
			w.ended <- o // for the round; it has room again
		case <-w.woken:
		case <-tick.C:
		}
	}
}

// round sends what is due, each player's oldest, and files the outcomes. It reports whether there
// may be more.
func (w *worker) round(ctx context.Context) (more bool, err error) {
	s := w.service
	one, list, err := w.due(ctx)
	if err != nil || len(list) == 0 && len(w.busy) == 0 {
		return false, err
	}
	outcomes := w.sendAll(ctx, &one, list)
	if ctx.Err() != nil {
		return false, nil // what was cut short is sent again
	}
	err = w.file(ctx, &one, outcomes)
	for _, o := range outcomes {
		delete(w.busy, o.player) // only now: what is due is read from the outcomes
	}
	if err != nil {
		return false, err
	}
	if w.rounds++; w.rounds%purgeEvery == 0 && len(list) > 0 {
		err = w.notFenced(s.store.purge(ctx, w.id, list[0].shard))
	}
	// What was not made is for somebody else, or for later.
	return len(outcomes) > 0 && !slices.ContainsFunc(outcomes, func(o outcome) bool { return o.state == 0 }), err
}

// due returns the subscription and what may be sent now: nothing unless it is active and this process delivers, and
// nothing of players with a request under way.
func (w *worker) due(ctx context.Context) (one Subscription, list []parcel, err error) {
	s := w.service
	var shards []int
	if s.isShared() {
		if shards = s.held.list(); len(shards) == 0 && len(w.busy) == 0 {
			return one, nil, nil
		}
	}
	one, err = s.store.subscription(ctx, s.store.engine, w.id, "") // another process may have changed it
	if errs.Is(err, errs.CodeNotFound) || err == nil && one.State != StateActive {
		s.stale.Store(true)
		return one, nil, nil
	}
	if err != nil || s.isShared() && len(shards) == 0 {
		return one, nil, err
	}
	list, err = s.store.due(ctx, w.id, shards, s.clock.Now(), roundSize)
	return one, slices.DeleteFunc(list, func(p parcel) bool { return w.busy[p.player] }), err
}

// sendAll sends what is in the list and returns what has ended, of earlier rounds too. Requests that hang longer than
// slowAfter, or fullAfter, are left to a later round, and what found no slot is due again.
func (w *worker) sendAll(ctx context.Context, one *Subscription, list []parcel) (outcomes []outcome) {
	slow := time.NewTimer(slowAfter)
	defer slow.Stop()
	for waiting := len(w.busy); len(list) > 0 || waiting > 0; {
		if len(list) > 0 && waiting < sendsAtOnce {
			p := list[0]
			list, waiting = list[1:], waiting+1
			w.busy[p.player] = true
			w.requests.Go(func() {
				o := w.attempt(ctx, one, &p)
				o.player = p.player
				w.ended <- o
			})
			continue
		}
		if slow.Reset(slowAfter); len(list) > 0 {
			slow.Reset(fullAfter)
		}
		select {
		case o := <-w.ended:
			outcomes, waiting = append(outcomes, o), waiting-1
		case <-slow.C:
			return outcomes
		}
	}
	return outcomes
}

// notFenced counts and drops the error of a write, or a request, that another process is to make.
func (w *worker) notFenced(err error) error {
	if errors.Is(err, stream.ErrFenced) {
		w.service.metrics.attempts.WithLabelValues("fenced").Inc()
		return nil
	}
	return err
}

// file keeps the outcomes of a round, those of each shard for itself where another process may take one over; a
// subscription that has failed for too long is disabled.
func (w *worker) file(ctx context.Context, one *Subscription, list []outcome) error {
	s := w.service
	now := s.clock.Now()
	byShard := map[int][]outcome{}
	var problems []error
	for _, o := range list {
		shard := o.shard
		if !s.isShared() {
			shard = 0
		}
		if o.state != 0 {
			byShard[shard] = append(byShard[shard], o)
		} else if err := w.notFenced(o.err); err != nil && len(problems) == 0 {
			problems = append(problems, err)
		}
	}
	changed := false
	for shard, outcomes := range byShard {
		f, err := s.store.file(ctx, w.id, shard, outcomes, now, s.cfg.DisableAfter)
		if err != nil {
			if err := w.notFenced(err); err != nil {
				problems = append(problems, err)
			}
			continue
		}
		if f.disabled {
			s.log.ErrorContext(ctx, "webhook subscription disabled", "subscription_id", w.id, "reason", "failing", "since", f.since)
		}
		changed = changed || f.disabled || f.since != one.FailingSince
	}
	if changed {
		problems = append(problems, s.refresh(ctx))
		s.wake()
	}
	return errors.Join(problems...)
}

// attempt sends one delivery and says what becomes of it. Where several processes deliver, each request is preceded by a
// look at who writes the shard: one that was replaced makes none but those that had passed that look.
func (w *worker) attempt(ctx context.Context, one *Subscription, p *parcel) outcome {
	s := w.service
	if s.isShared() {
		own, cancel := s.held.while(ctx, p.shard)
		defer cancel()
		ctx = own
		if err := s.store.look(ctx, p.shard); err != nil {
			return outcome{err: err}
		}
	}
	began := s.clock.Now()
	status, err := w.send(ctx, one, p)
	if ctx.Err() != nil { // cut off: whoever delivers now sends it again
		return outcome{}
	}
	now := s.clock.Now()
	s.metrics.seconds.Observe(now.Sub(began).Seconds())
	out := outcome{id: p.id, shard: p.shard, status: status, state: deliveryDelivered, done: now}
	switch {
	case err == nil:
		s.metrics.attempts.WithLabelValues("delivered").Inc()
		return out
	case now.Sub(p.queued) >= s.cfg.RetryFor:
		s.metrics.attempts.WithLabelValues("dead").Inc()
		out.state = deliveryDead
	default:
		s.metrics.attempts.WithLabelValues("failed").Inc()
		out.state, out.done, out.next = deliveryQueued, time.Time{}, now.Add(pauseAfter(p.attempts, p.id))
	}
	text := err.Error()
	out.detail = text[:min(len(text), maxDetailText)]
	return out
}

// pauseAfter doubles from firstPause to longestPause, a little different for each delivery so that a
// receiver that comes back is not asked for everything at once.
func pauseAfter(attempts int, delivery int64) time.Duration {
	pause := min(longestPause, firstPause<<min(attempts, 20))
	return pause + pause/4*time.Duration(delivery%16)/16
}

// errAnswer is an answer other than 2xx.
var errAnswer = errors.New("the receiver did not answer 2xx")

// send makes the request. The answer's body is read to a bound, so that the connection can be used
// again, and dropped.
func (w *worker) send(ctx context.Context, one *Subscription, p *parcel) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, one.URL, bytes.NewReader(p.body))
	if err != nil {
		return 0, err
	}
	now := w.service.clock.Now()
	h := request.Header
	h.Set("Content-Type", "application/cloudevents+json")
	h.Set("User-Agent", "matchday")
	h.Set(HeaderDelivery, w.id+"-"+strconv.FormatInt(p.id, 10))
	h.Set(HeaderEvent, p.event)
	h.Set(HeaderSignature, Sign(now, p.body, one.secrets(now)...))
	response, err := w.service.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return response.StatusCode, fmt.Errorf("%w: %d", errAnswer, response.StatusCode)
	}
	return response.StatusCode, nil
}
