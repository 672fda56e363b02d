package notify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"
)

// The headers of a delivery.
const (
	HeaderSignature = "Matchday-Signature"
	HeaderDelivery  = "Matchday-Delivery"
	HeaderEvent     = "Matchday-Event"
)

// Sign returns the signature header of a body sent at the time: t=<seconds since 1970> and, for each
// secret, v1=<HMAC-SHA256 in hexadecimal over "<seconds>.<body>">. During a rotation there are two.
func Sign(at time.Time, body []byte, secrets ...string) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	out := "t=" + seconds
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(seconds + "."))
		mac.Write(body)
		out += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return out
}

// newSecret draws 256 bits.
func newSecret() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: see crypto/rand
	return "whsec_" + base64.RawURLEncoding.EncodeToString(raw[:])
}
