package api

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	kit "matchday/client"
	"matchday/id"
	"matchday/player"
)

// badOfWebhooks is what no route of webhooks may take.
func badOfWebhooks() []badValue {
	hook := func(change func(*WebhookRequest)) WebhookRequest {
		r := WebhookRequest{URL: "https://hooks.example.com/", Types: []string{"*"}}
		change(&r)
		return r
	}
	const none, missing = "/v1/operator/webhooks/whk_none", "not_found"
	return []badValue{
		{"no URL", "create-webhook", "", hook(func(r *WebhookRequest) { r.URL = "" }), "invalid", "url"},
		{"a URL without TLS", "create-webhook", "", hook(func(r *WebhookRequest) { r.URL = "http://hooks.example.com/" }), "invalid", "url"},
		{"a URL inside", "create-webhook", "", hook(func(r *WebhookRequest) { r.URL = "https://10.0.0.1/" }), "invalid", "url"},
		{"no types", "create-webhook", "", hook(func(r *WebhookRequest) { r.Types = nil }), "invalid", "types"},
		{"a type that is none", "create-webhook", "", hook(func(r *WebhookRequest) { r.Types = []string{"bet placed"} }), "invalid", "types"},
		{"a jurisdiction that is none", "create-webhook", "", hook(func(r *WebhookRequest) { r.Jurisdiction = "XX" }), "invalid", "jurisdiction"},
		{"one that is not there", "delete-webhook", none, nil, missing, ""},
		{"one that is not there", "rotate-webhook-secret", none + "/secret", nil, missing, ""},
		{"one that is not there", "pause-webhook", none + "/pause", nil, missing, ""},
		{"one that is not there", "resume-webhook", none + "/resume", nil, missing, ""},
		{"one that is not there", "ping-webhook", none + "/ping", nil, missing, ""},
		{"one that is not there", "webhook-deliveries", none + "/deliveries", nil, missing, ""},
		{"a made-up cursor", "webhook-deliveries", none + "/deliveries?cursor=x", nil, "invalid", "query.cursor"},
		{"one that is not there", "redeliver-webhook", none + "/deliveries/1/redeliver", nil, missing, ""},
	}
}

func TestBadWebhooksAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.refusesAll(t, s.trader(), badOfWebhooks())
}

func TestStaffSubscribeAReceiverThatVerifies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	secrets := make(chan string, 1)
	heard := make(chan kit.Event, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret := <-secrets
		secrets <- secret
		body, _ := io.ReadAll(r.Body)
		event, err := kit.VerifyWebhook(secret, r.Header.Get(kit.HeaderSignature), body, time.Now())
		if err != nil {
			t.Errorf("verify: %v", err)
		}
		heard <- event
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(receiver.Close)
	trader := s.trader()
	created := into[WebhookSecret](s.do("POST", "/v1/operator/webhooks", trader,
		WebhookRequest{URL: receiver.URL, Types: []string{"matchday.deposit.*"}, Jurisdiction: "US-NJ"}).want(http.StatusCreated))
	secrets <- created.Secret
	p, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	select {
	case event := <-heard:
		if event.Player != p.ID || event.Jurisdiction != "US-NJ" || !strings.HasPrefix(event.Type, "matchday.deposit.") {
			t.Errorf("heard %+v, want the deposit of %s", event, p.ID)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("no delivery within minutes")
	}
	path := "/v1/operator/webhooks/" + created.Webhook.ID
	var list List[WebhookDelivery]
	s.poll("the delivery to be filed", func() bool {
		list = into[List[WebhookDelivery]](s.do("GET", path+"/deliveries", trader, nil).want(http.StatusOK))
		return len(list.Items) > 0 && list.Items[0].State == "delivered"
	})
	s.do("POST", path+"/deliveries/"+list.Items[0].ID+"/redeliver", trader, nil).want(http.StatusNoContent)
	s.do("POST", path+"/ping", trader, nil).want(http.StatusNoContent)
	for range 2 {
		select {
		case <-heard:
		case <-time.After(5 * time.Minute):
			t.Fatal("the second delivery and the ping did not come within minutes")
		}
	}
	s.do("POST", path+"/secret", trader, nil).want(http.StatusOK)
	s.do("POST", path+"/pause", trader, nil).want(http.StatusNoContent)
	hooks := into[List[Webhook]](s.do("GET", "/v1/operator/webhooks", trader, nil).want(http.StatusOK)).Items
	if len(hooks) != 1 || hooks[0].State != "paused" || hooks[0].CreatedBy != "trader" {
		t.Errorf("hooks %+v, want one, paused, by trader", hooks)
	}
	other := s.staff("ontario", player.RoleOperator, on)
	if seen := into[List[Webhook]](s.do("GET", "/v1/operator/webhooks", other, nil).want(http.StatusOK)).Items; len(seen) != 0 {
		t.Errorf("staff of Ontario see %+v", seen)
	}
	s.do("DELETE", path, other, nil).wantCode("not_found")
	s.do("POST", "/v1/operator/webhooks", other, WebhookRequest{URL: receiver.URL, Types: []string{"*"}}).wantCode("forbidden")
	s.do("POST", path+"/resume", trader, nil).want(http.StatusNoContent)
	s.do("DELETE", path, trader, nil).want(http.StatusNoContent)
	s.do("DELETE", path, trader, nil).wantCode("not_found")
}

// TestServicesSubscribeWithAKey: services whose key has the right do what staff do, within the key's jurisdictions, in the
// whole platform and in a process with the books and webhooks alone.
func TestServicesSubscribeWithAKey(t *testing.T) {
	t.Parallel()
	const everywhere, inOne = "the key of a shop, for tests only", "the key of a shop in New Jersey"
	s := newServer(t, func(c *Config) {
		for name, key := range map[string]string{"shop": everywhere, "shop-nj": inOne} {
			sum := sha256.Sum256([]byte(key))
			one := ServiceKey{Name: name, SHA256: hex.EncodeToString(sum[:]), Webhooks: true}
			if key == inOne {
				one.Jurisdictions = []id.Jurisdiction{nj}
			}
			c.Keys = append(c.Keys, one)
		}
	})
	a := must(New(s.api.cfg, Deps{Clock: s.clock, Log: s.log, Metrics: prometheus.NewRegistry(), Ledger: s.ledger, Jurisdictions: s.rules, Webhooks: s.webhooks}))(t)
	s.closers = append(s.closers, a.Close)
	books := httptest.NewServer(a.Handler())
	t.Cleanup(books.Close)
	const root = "/v1/operator/webhooks"
	in := func(j string) WebhookRequest {
		return WebhookRequest{URL: "https://hooks.example.com/", Types: []string{"matchday.nothing"}, Jurisdiction: j}
	}
	for where, url := range map[string]string{"the platform": s.url, "the books": books.URL} {
		s.at(url, func() {
			one := into[WebhookSecret](s.do("POST", root, inOne, in("US-NJ")).want(http.StatusCreated))
			all := into[WebhookSecret](s.do("POST", root, everywhere, in("")).want(http.StatusCreated))
			if one.Webhook.CreatedBy != "service shop-nj" || one.Secret == "" {
				t.Errorf("%s: %+v", where, one.Webhook)
			}
			if seen := into[List[Webhook]](s.do("GET", root, inOne, nil).want(http.StatusOK)).Items; len(seen) != 1 || seen[0].ID != one.Webhook.ID {
				t.Errorf("%s: the key of New Jersey sees %+v", where, seen)
			}
			s.do("POST", root, inOne, in("")).wantCode("forbidden")
			s.do("POST", root, inOne, in("US-PA")).wantCode("forbidden")
			s.do("DELETE", root+"/"+all.Webhook.ID, inOne, nil).wantCode("not_found")
			s.do("POST", root+"/"+one.Webhook.ID+"/pause", testKey, nil).wantCode("forbidden") // it has no such right
			s.do("POST", root+"/"+one.Webhook.ID+"/pause", "made-up", nil).wantCode("unauthenticated")
			s.do("POST", root+"/"+one.Webhook.ID+"/pause", inOne, nil).want(http.StatusNoContent)
			for _, made := range []WebhookSecret{one, all} {
				s.do("DELETE", root+"/"+made.Webhook.ID, everywhere, nil).want(http.StatusNoContent)
			}
		})
	}
	s.at(books.URL, func() { s.do("GET", "/v1/operator/lag", everywhere, nil).want(http.StatusNotFound) })
}
