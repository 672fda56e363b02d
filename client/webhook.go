package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Event is the body of a webhook delivery, a CloudEvent.
type Event struct {
	ID           string          `json:"id"` // the record's position; the same for every attempt and subscription
	Source       string          `json:"source"`
	Type         string          `json:"type"` // for example matchday.bet.settled
	Subject      string          `json:"subject"`
	Time         time.Time       `json:"time"`
	Player       string          `json:"player"`
	Jurisdiction string          `json:"jurisdiction"`
	Data         json.RawMessage `json:"data"`
}

// The headers of a webhook delivery.
const (
	HeaderSignature = "Matchday-Signature"
	HeaderDelivery  = "Matchday-Delivery" // the same for every attempt of one delivery
)

// WebhookTolerance is how old a delivery may be, and how far ahead of the receiver's clock, before
// [VerifyWebhook] refuses it: the window in which somebody who has copied a request could send it again.
const WebhookTolerance = 5 * time.Minute

// Why a delivery is refused.
var (
	ErrSignature = errors.New("the webhook's signature does not fit")
	ErrStale     = errors.New("the webhook's time is too far from now")
)

// VerifyWebhook checks the Matchday-Signature header against the body as it came and returns the event.
// A delivery may come more than once: remember Event.ID, or the Matchday-Delivery header, for as long
// as a doubled one would do harm.
//
// During a rotation of secrets a request has two signatures; one that fits is enough. Errors:
// [ErrSignature], [ErrStale], or that the body is no event.
func VerifyWebhook(secret, header string, body []byte, now time.Time) (Event, error) {
	seconds, signatures := parseSignature(header)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	want := mac.Sum(nil)
	fits := false
	for _, s := range signatures {
		fits = hmac.Equal(s, want) || fits
	}
	if secret == "" || !fits {
		return Event{}, ErrSignature
	}
	sent, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return Event{}, ErrSignature
	}
	if age := now.Sub(time.Unix(sent, 0)); age > WebhookTolerance || age < -WebhookTolerance {
		return Event{}, ErrStale
	}
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("read webhook: %w", err)
	}
	return e, nil
}

// maxSignatures bounds the work that a header can ask for.
const maxSignatures = 4

// parseSignature splits "t=<seconds>,v1=<hex>,v1=<hex>". What it does not know it leaves out, so that
// another version of signatures can be added.
func parseSignature(header string) (seconds string, signatures [][]byte) {
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "t":
			seconds = value
		case "v1":
			if raw, err := hex.DecodeString(value); err == nil && len(signatures) < maxSignatures {
				signatures = append(signatures, raw)
			}
		}
	}
	return seconds, signatures
}
