package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	sendsAtOnce   = 8   // requests of one subscription under way
	roundSize     = 32  // deliveries taken at a time
	purgeEvery    = 200 // rounds
	maxAnswer     = 4 << 10
	firstPause    = time.Second
	longestPause  = 10 * time.Minute
	maxDetailText = 200
)

// worker delivers to one subscription.
type worker struct {
	service *Service
	id      string
	woken   chan struct{}
	stop    context.CancelFunc
	rounds  int
}

func (w *worker) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// run delivers what is due until ctx is done.
func (w *worker) run(ctx context.Context) {
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
		select {
		case <-ctx.Done():
			return
		case <-w.woken:
		case <-tick.C:
		}
	}
}

// subscription returns the newest version of what the worker delivers to.
func (w *worker) subscription() (Subscription, bool) {
	for _, one := range *w.service.known.Load() {
		if one.ID == w.id {
			return one, one.State == StateActive
		}
	}
	return Subscription{}, false
}

// round sends what is due, each player's oldest, and files the outcomes. It reports whether there
// may be more.
func (w *worker) round(ctx context.Context) (more bool, err error) {
	s := w.service
	one, active := w.subscription()
	if !active {
		return false, nil
	}
	list, err := s.store.due(ctx, w.id, s.clock.Now(), roundSize)
	if err != nil || len(list) == 0 {
		return false, err
	}
	outcomes := make([]outcome, len(list))
	slots := make(chan struct{}, sendsAtOnce)
	var wg sync.WaitGroup
	for i := range list {
		slots <- struct{}{}
		wg.Go(func() {
			outcomes[i] = w.attempt(ctx, &one, &list[i])
			<-slots
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return false, nil // what was cut short is sent again
	}
	if err := w.file(ctx, &one, outcomes); err != nil {
		return false, err
	}
	if w.rounds++; w.rounds%purgeEvery == 0 {
		return true, s.store.purge(ctx, w.id)
	}
	return true, nil
}

// file keeps the outcomes of a round; a subscription that has failed for too long is disabled.
func (w *worker) file(ctx context.Context, one *Subscription, list []outcome) error {
	s := w.service
	now := s.clock.Now()
	since := one.FailingSince
	if since.IsZero() {
		since = now
	}
	for i := range list {
		if list[i].state == deliveryDelivered {
			since = time.Time{}
		}
	}
	if err := s.store.file(ctx, w.id, list, since); err != nil {
		return err
	}
	if !since.IsZero() && now.Sub(since) > s.cfg.DisableAfter {
		s.log.ErrorContext(ctx, "webhook subscription disabled", "subscription_id", w.id, "reason", "failing", "since", since)
		reason := "nothing but failures since " + since.Format(time.RFC3339)
		return s.changing(ctx, func() error { return s.store.setState(ctx, w.id, StateDisabled, reason) })
	}
	if since != one.FailingSince {
		return s.refresh(ctx)
	}
	return nil
}

// attempt sends one delivery and says what becomes of it.
func (w *worker) attempt(ctx context.Context, one *Subscription, p *parcel) outcome {
	s := w.service
	began := s.clock.Now()
	status, err := w.send(ctx, one, p)
	now := s.clock.Now()
	s.metrics.seconds.Observe(now.Sub(began).Seconds())
	out := outcome{id: p.id, status: status, state: deliveryDelivered, done: now}
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
