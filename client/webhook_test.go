package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// An example request.
const (
	exampleSecret = "whsec_example"
	exampleBody   = `{"specversion":"1.0","id":"0-7","source":"/matchday/ledger/0","type":"matchday.bet.settled","subject":"bet_1","time":"2026-09-13T20:00:00Z","player":"plr_1","jurisdiction":"US-NJ","datacontenttype":"application/json","data":{"bet_id":"bet_1"}}`
	exampleTime   = 1_789_329_600
)

// header signs the example with secrets, without the code under test.
func header(seconds string, body string, secrets ...string) string {
	out := "t=" + seconds
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(seconds + "." + body))
		out += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return out
}

func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	good := header("1789329600", exampleBody, exampleSecret)
	sent := time.Unix(exampleTime, 0)
	tests := []struct {
		name, secret, header, body string
		now                        time.Time
		want                       error
	}{
		{"a good one", exampleSecret, good, exampleBody, sent, nil},
		{"four minutes later", exampleSecret, good, exampleBody, sent.Add(4 * time.Minute), nil},
		{"during a rotation", exampleSecret, header("1789329600", exampleBody, "whsec_new", exampleSecret), exampleBody, sent, nil},
		{"with a version to come", exampleSecret, good + ",v2=00", exampleBody, sent, nil},
		{"another secret", "whsec_other", good, exampleBody, sent, ErrSignature},
		{"no secret", "", header("1789329600", exampleBody, ""), exampleBody, sent, ErrSignature},
		{"a changed body", exampleSecret, good, strings.Replace(exampleBody, "plr_1", "plr_2", 1), sent, ErrSignature},
		{"a changed time", exampleSecret, strings.Replace(good, "t=1789329600", "t=1789329900", 1), exampleBody, sent, ErrSignature},
		{"sent again later", exampleSecret, good, exampleBody, sent.Add(6 * time.Minute), ErrStale},
		{"from the future", exampleSecret, good, exampleBody, sent.Add(-6 * time.Minute), ErrStale},
		{"a time of words", exampleSecret, header("soon", exampleBody, exampleSecret), exampleBody, sent, ErrSignature},
		{"no header", exampleSecret, "", exampleBody, sent, ErrSignature},
		{"no hexadecimal", exampleSecret, "t=1789329600,v1=zz", exampleBody, sent, ErrSignature},
	}
	for _, tt := range tests {
		event, err := VerifyWebhook(tt.secret, tt.header, []byte(tt.body), tt.now)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		if tt.want == nil && (event.ID != "0-7" || event.Player != "plr_1" || string(event.Data) != `{"bet_id":"bet_1"}`) {
			t.Errorf("%s: event %+v", tt.name, event)
		}
	}
	if _, err := VerifyWebhook(exampleSecret, header("1789329600", "[]", exampleSecret), []byte("[]"), sent); err == nil {
		t.Error("a signed body that is no event was accepted")
	}
}
