package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/notify"
	"matchday/player"
)

// webhookRoutes let staff, and services whose key has the right, say which systems hear of what happened.
func (a *API) webhookRoutes() []route {
	const tag = "Webhooks"
	const cleared = "One for a single jurisdiction needs an account that is cleared for it, one for all an account that is cleared for every one; the same for keys."
	return []route{
		{method: "GET", path: "/v1/operator/webhooks", id: "webhooks", tag: tag, who: whoStaff, right: rightWebhooks,
			summary: "Subscriptions, with what waits for them", end: reading(a.listWebhooks)},
		{method: "POST", path: "/v1/operator/webhooks", id: "create-webhook", tag: tag, who: whoStaff, right: rightWebhooks, role: player.RoleOperator, status: http.StatusCreated,
			summary: "Subscribe a URL to types of records, from now on", end: taking(a.createWebhook),
			detail: "Each record becomes one POST of a CloudEvent, signed by `Matchday-Signature: t=<seconds>,v1=<hex>`: HMAC-SHA256 with the secret over `<seconds>.<body>`. The secret is in this answer and nowhere else. " + cleared},
		{method: "DELETE", path: "/v1/operator/webhooks/{id}", id: "delete-webhook", tag: tag, who: whoStaff, right: rightWebhooks, role: player.RoleOperator,
			summary: "End a subscription and drop what waits for it", end: reading(a.webhook(a.deps.Webhooks.Delete))},
		{method: "POST", path: "/v1/operator/webhooks/{id}/secret", id: "rotate-webhook-secret", tag: tag, who: whoStaff, right: rightWebhooks, role: player.RoleOperator,
			summary: "Take a new secret", detail: "The old one signs too for 24 hours.", end: reading(a.rotateWebhook)},
		{method: "POST", path: "/v1/operator/webhooks/{id}/pause", id: "pause-webhook", tag: tag, who: whoStaff, right: rightWebhooks, role: player.RoleOperator,
			summary: "Let deliveries wait", end: reading(a.webhook(a.deps.Webhooks.Pause))},
		{method: "POST", path: "/v1/operator/webhooks/{id}/resume", id: "resume-webhook", tag: tag, who: whoStaff, right: rightWebhooks, role: player.RoleOperator,
			summary: "Send again, also after failures have disabled it", end: reading(a.webhook(a.deps.Webhooks.Resume))},
		{method: "POST", path: "/v1/operator/webhooks/{id}/ping", id: "ping-webhook", tag: tag, who: whoStaff, right: rightWebhooks, role: player.RoleOperator,
			summary: "Send a test delivery of type " + notify.TypePing, end: reading(a.webhook(a.deps.Webhooks.Ping))},
		{method: "GET", path: "/v1/operator/webhooks/{id}/deliveries", id: "webhook-deliveries", tag: tag, who: whoStaff, right: rightWebhooks, params: paged,
			summary: "Deliveries of a subscription, newest first", end: reading(a.webhookDeliveries)},
		{method: "POST", path: "/v1/operator/webhooks/{id}/deliveries/{delivery}/redeliver", id: "redeliver-webhook", tag: tag, who: whoStaff, right: rightWebhooks, role: player.RoleOperator,
			summary: "Send a delivery again, a dead one too", end: reading(a.redeliverWebhook)},
	}
}

// Webhook is a subscription.
type Webhook struct {
	ID           string     `json:"id"`
	URL          string     `json:"url"`
	Types        []string   `json:"types"`
	Jurisdiction string     `json:"jurisdiction,omitempty" doc:"Absent is every one"`
	State        string     `json:"state" enum:"active,paused,disabled"`
	Reason       string     `json:"reason,omitempty" doc:"Why it is disabled"`
	FailingSince *time.Time `json:"failing_since" doc:"Nothing but failures since"`
	CreatedBy    string     `json:"created_by"`
	CreatedAt    time.Time  `json:"created_at"`
	Queued       int        `json:"queued" doc:"Deliveries that wait"`
	Dead         int        `json:"dead" doc:"Deliveries that were given up"`
}

// WebhookRequest subscribes a URL.
type WebhookRequest struct {
	URL          string   `json:"url" doc:"https, and a public address"`
	Types        []string `json:"types" doc:"Of records: exact, matchday.bet.*, or *"`
	Jurisdiction string   `json:"jurisdiction,omitempty" doc:"Absent is every one"`
}

// WebhookSecret is a subscription with its new secret.
type WebhookSecret struct {
	Webhook Webhook `json:"webhook"`
	Secret  string  `json:"secret" doc:"Shown this once"`
}

// WebhookDelivery is one record on its way to a subscription.
type WebhookDelivery struct {
	ID       string     `json:"id"`
	EventID  string     `json:"event_id"`
	Type     string     `json:"type"`
	State    string     `json:"state" enum:"queued,delivered,dead"`
	Attempts int        `json:"attempts"`
	QueuedAt time.Time  `json:"queued_at"`
	NextAt   *time.Time `json:"next_at" doc:"Of a queued one: when it is tried next"`
	DoneAt   *time.Time `json:"done_at"`
	Status   int        `json:"status" doc:"HTTP status of the last answer; 0 is none"`
	Detail   string     `json:"detail,omitempty" doc:"Why the last attempt failed"`
}

func webhookOf(s notify.Subscription) Webhook {
	return Webhook{ID: s.ID, URL: s.URL, Types: s.Types, Jurisdiction: string(s.Jurisdiction), State: s.State.String(), Reason: s.Reason,
		FailingSince: optional(s.FailingSince), CreatedBy: s.CreatedBy, CreatedAt: s.CreatedAt, Queued: s.Queued, Dead: s.Dead}
}

// mayHear returns nil if the caller is cleared for what a subscription hears of.
func (c *call) mayHear(j id.Jurisdiction) error {
	key := c.caller.service
	switch {
	case key != nil && j == "" && len(key.jurisdictions) > 0:
		return errs.New(errs.CodeForbidden, "this concerns every jurisdiction, and this key does not reach all of them")
	case key != nil && j == "":
		return nil
	case key != nil:
		return c.reaches(j)
	case j == "":
		return c.mayActEverywhere()
	}
	return c.mayActIn(j)
}

func (a *API) listWebhooks(ctx context.Context, c *call) (List[Webhook], error) {
	all, err := a.deps.Webhooks.List(ctx)
	if err != nil {
		return List[Webhook]{}, fmt.Errorf("list webhooks: %w", err)
	}
	out := List[Webhook]{Items: []Webhook{}}
	for _, s := range all {
		if c.mayHear(s.Jurisdiction) == nil {
			out.Items = append(out.Items, webhookOf(s))
		}
	}
	return out, nil
}

func (a *API) createWebhook(ctx context.Context, c *call, in *WebhookRequest) (WebhookSecret, error) {
	j := id.Jurisdiction(in.Jurisdiction)
	if j != "" {
		if _, err := a.deps.Jurisdictions.Find(j); err != nil {
			return WebhookSecret{}, invalidField("jurisdiction", "is not one of ours")
		}
	}
	if err := c.mayHear(j); err != nil {
		return WebhookSecret{}, err
	}
	s, secret, err := a.deps.Webhooks.Subscribe(ctx, notify.NewSubscription{URL: in.URL, Types: in.Types, Jurisdiction: j, CreatedBy: c.reader()})
	if err != nil {
		return WebhookSecret{}, fmt.Errorf("create webhook: %w", err)
	}
	a.log.InfoContext(ctx, "webhook created", "subscription_id", s.ID, "by", c.reader())
	return WebhookSecret{Webhook: webhookOf(s), Secret: secret}, nil
}

// hook returns the path's subscription if the caller may see it; one that is not theirs is not there.
func (a *API) hook(ctx context.Context, c *call) (notify.Subscription, error) {
	s, err := a.deps.Webhooks.Find(ctx, c.r.PathValue("id"))
	if err == nil && c.mayHear(s.Jurisdiction) != nil {
		err = errs.New(errs.CodeNotFound, "there is no such subscription")
	}
	return s, err
}

// webhook does something to the path's subscription and logs who did it.
func (a *API) webhook(do func(ctx context.Context, subscription string) error) func(context.Context, *call) (None, error) {
	return func(ctx context.Context, c *call) (None, error) {
		s, err := a.hook(ctx, c)
		if err != nil {
			return None{}, err
		}
		if err := do(ctx, s.ID); err != nil {
			return None{}, fmt.Errorf("%s %s: %w", c.route.id, s.ID, err)
		}
		a.log.InfoContext(ctx, "webhook changed", "operation", c.route.id, "subscription_id", s.ID, "by", c.reader())
		return None{}, nil
	}
}

func (a *API) rotateWebhook(ctx context.Context, c *call) (WebhookSecret, error) {
	s, err := a.hook(ctx, c)
	if err != nil {
		return WebhookSecret{}, err
	}
	secret, err := a.deps.Webhooks.RotateSecret(ctx, s.ID)
	if err != nil {
		return WebhookSecret{}, fmt.Errorf("rotate secret of %s: %w", s.ID, err)
	}
	a.log.InfoContext(ctx, "webhook changed", "operation", c.route.id, "subscription_id", s.ID, "by", c.reader())
	return WebhookSecret{Webhook: webhookOf(s), Secret: secret}, nil
}

func (a *API) webhookDeliveries(ctx context.Context, c *call) (List[WebhookDelivery], error) {
	none := List[WebhookDelivery]{}
	limit, err := c.limit()
	if err != nil {
		return none, err
	}
	before, err := c.seqCursor()
	if err != nil {
		return none, err
	}
	s, err := a.hook(ctx, c)
	if err != nil {
		return none, err
	}
	list, err := a.deps.Webhooks.Deliveries(ctx, s.ID, before, limit+1)
	if err != nil {
		return none, fmt.Errorf("deliveries of %s: %w", s.ID, err)
	}
	next := ""
	if len(list) > limit {
		list = list[:limit]
		next = strconv.FormatInt(list[limit-1].ID, 10)
	}
	return listOf(list, next, func(d notify.Delivery) WebhookDelivery {
		return WebhookDelivery{ID: strconv.FormatInt(d.ID, 10), EventID: d.EventID, Type: d.Type, State: d.State, Attempts: d.Attempts,
			QueuedAt: d.QueuedAt, NextAt: optional(d.NextAt), DoneAt: optional(d.DoneAt), Status: d.Status, Detail: d.Detail}
	}), nil
}

func (a *API) redeliverWebhook(ctx context.Context, c *call) (None, error) {
	s, err := a.hook(ctx, c)
	if err != nil {
		return None{}, err
	}
	delivery, err := strconv.ParseInt(c.r.PathValue("delivery"), 10, 64)
	if err != nil {
		return None{}, errs.New(errs.CodeNotFound, "there is no such delivery")
	}
	if err := a.deps.Webhooks.Redeliver(ctx, s.ID, delivery); err != nil {
		return None{}, fmt.Errorf("redeliver %d: %w", delivery, err)
	}
	return None{}, nil
}
