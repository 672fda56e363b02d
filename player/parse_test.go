package player

import (
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestParseEmail(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	tests := []struct{ name, text, want string }{ // an empty want is a refusal
		{"plain", "ann@example.com", "ann@example.com"},
		{"case does not matter", "Ann.B+Bets@Example.CO.uk", "ann.b+bets@example.co.uk"},
		{"spaces around are dropped", "  ann@example.com ", "ann@example.com"},
		{"longest local part", long + "@example.com", long + "@example.com"},
		{"local part too long", long + "a@example.com", ""},
		{"label too long", "ann@" + long + ".com", ""},
		{"whole too long", "ann@" + strings.Repeat("abcdefg.", 32) + "com", ""},
		{"empty", "", ""},
		{"no at sign", "ann.example.com", ""},
		{"two at signs", "ann@bob@example.com", ""},
		{"no local part", "@example.com", ""},
		{"no domain", "ann@", ""},
		{"one label", "ann@localhost", ""},
		{"double dot", "ann..b@example.com", ""},
		{"leading dot", ".ann@example.com", ""},
		{"empty label", "ann@example..com", ""},
		{"trailing dot", "ann@example.com.", ""},
		{"hyphen at a label's edge", "ann@-example.com", ""},
		{"space inside", "an n@example.com", ""},
		{"line break", "ann@example.com\nBcc: x@y.zz", ""},
		{"quoted local part", `"ann"@example.com`, ""},
		{"address literal", "ann@[127.0.0.1]", ""},
		{"IP address", "ann@127.0.0.1", ""},
		{"one-letter top label", "ann@example.c", ""},
		{"not ASCII", "änn@example.com", ""},
		{"look-alike that would lower to ASCII", "\u212Aate@example.com", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseEmail(tt.text)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("ParseEmail(%q) = %q, %v, want %q", tt.text, got, err, tt.want)
			}
		})
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, seed := range []string{"ann@example.com", "A+b@c-d.EF", "@", "a@b", "a@b.c.", "\u212A@x.yz", "a@\xff.com"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseEmail(text)
		if err != nil {
			return
		}
		if again, err := ParseEmail(got); err != nil || again != got {
			t.Errorf("ParseEmail(%q) = %q, which parses as %q, %v", text, got, again, err)
		}
		if len(got) > maxEmailBytes || strings.Count(got, "@") != 1 || strings.ToLower(got) != got ||
			strings.IndexFunc(got, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsSpace(r) || unicode.IsControl(r) }) >= 0 {
			t.Errorf("ParseEmail(%q) accepted %q", text, got)
		}
	})
}

func TestParseBirthDate(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1990-05-17", "2000-02-29", "1900-01-01"} {
		if got, err := ParseBirthDate(text); err != nil || got.Format(time.DateOnly) != text {
			t.Errorf("ParseBirthDate(%q) = %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1990-5-17", "17.05.1990", "1990-05-17T00:00:00Z", "1899-12-31", "1990-13-01", "1900-02-29", "+990-05-17", "1990-05-1７"} {
		if got, err := ParseBirthDate(text); err == nil {
			t.Errorf("ParseBirthDate(%q) = %s, want a refusal", text, got)
		}
	}
}

func FuzzParseBirthDate(f *testing.F) {
	for _, seed := range []string{"1990-05-17", "2000-02-29", "0000-00-00", "9999-12-31", "1990-05-17 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseBirthDate(text)
		if err == nil && (got.Format(time.DateOnly) != text || got.Year() < oldestBirthYear || got.Location() != time.UTC) {
			t.Errorf("ParseBirthDate(%q) = %s", text, got)
		}
	})
}

func TestPasswordHashRoundTrip(t *testing.T) {
	t.Parallel()
	h := hashPassword(password, cheap)
	got, err := parsePasswordHash(h.String())
	if err != nil || !got.matches(password) || got.matches(password+" ") {
		t.Errorf("parsePasswordHash(%s) = %v, want a hash that matches only the password", h, err)
	}
	if hashPassword(password, cheap).String() == h.String() {
		t.Error("two hashes of one password are equal: the salt is not random")
	}
}

// A vector of another implementation, so that a hash made here can be read elsewhere.
//
// Source: the argon2 command line tool: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1.
func TestPasswordHashAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h, err := parsePasswordHash(phc)
	if err != nil || !h.matches("password") {
		t.Errorf("the reference's hash of \"password\" does not match, %v", err)
	}
}

func FuzzParsePasswordHash(f *testing.F) {
	f.Add(hashPassword(password, cheap).String())
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2i$v=19$m=8,t=1,p=1$$")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parsePasswordHash(text)
		if err == nil && (h.String() != text || h.cost.validate() != nil) {
			t.Errorf("parsePasswordHash(%q) = %+v", text, h)
		}
	})
}
