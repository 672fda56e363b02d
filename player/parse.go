package player

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"matchday/errs"
)

// Bounds of what people type.
const (
	maxEmailBytes     = 254
	maxLocalBytes     = 64
	maxLabelBytes     = 63
	minPasswordRunes  = 10
	maxPasswordBytes  = 200
	maxDisplayRunes   = 40
	maxStaffNameBytes = 40
	oldestBirthYear   = 1900
)

// Errors of the parsers; the text is shown beside the field.
var (
	errEmail     = errors.New("is not an e-mail address such as ann@example.com")
	errBirthDate = errors.New("is not a date of the form YYYY-MM-DD, 1900 or later")
)

// ParseEmail returns the address in lower case, the form in which it is stored and compared. It
// accepts the plain form that people have: ASCII, local part without quotes, a domain of at least two
// labels. Comments, quoted parts and address literals are refused.
//
// Source: RFC 5321 sections 4.1.2 and 4.5.3.1 (Dot-string, sizes).
func ParseEmail(text string) (string, error) {
	text = strings.Trim(text, " ")
	if strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) >= 0 {
		return "", errEmail // before lowering: the Kelvin sign would become a k
	}
	text = strings.ToLower(text)
	local, domain, found := strings.Cut(text, "@")
	if !found || len(text) > maxEmailBytes || len(local) > maxLocalBytes {
		return "", errEmail
	}
	for part := range strings.SplitSeq(local, ".") {
		if part == "" || strings.IndexFunc(part, notAtom) >= 0 {
			return "", errEmail
		}
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return "", errEmail
	}
	for _, label := range labels {
		if label == "" || len(label) > maxLabelBytes || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.IndexFunc(label, notLabel) >= 0 {
			return "", errEmail
		}
	}
	if top := labels[len(labels)-1]; len(top) < 2 || top[0] >= '0' && top[0] <= '9' {
		return "", errEmail // an IP address, or half a name
	}
	return text, nil
}

func isLetterOrDigit(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' }

func notLabel(r rune) bool { return !isLetterOrDigit(r) && r != '-' }

func notAtom(r rune) bool {
	return !isLetterOrDigit(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// ParseBirthDate reads YYYY-MM-DD as midnight UTC of a day that the calendar has.
func ParseBirthDate(text string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Format(time.DateOnly) != text || day.Year() < oldestBirthYear {
		return time.Time{}, errBirthDate
	}
	return day, nil
}

// checkPassword adds what is wrong with a new password. Characters are counted for the least, so
// that no script is at a disadvantage, and bytes for the most, which bounds the work.
func checkPassword(check *errs.Check, password, email string) {
	switch {
	case !utf8.ValidString(password):
		check.Add("password", "is not valid UTF-8")
	case utf8.RuneCountInString(password) < minPasswordRunes:
		check.Add("password", "needs at least %d characters", minPasswordRunes)
	case len(password) > maxPasswordBytes:
		check.Add("password", "is longer than %d bytes", maxPasswordBytes)
	case strings.IndexFunc(password, unicode.IsControl) >= 0:
		check.Add("password", "contains a control character")
	case email != "" && strings.EqualFold(password, email):
		check.Add("password", "must not be the e-mail address")
	case isOneCharacter(password):
		check.Add("password", "is one character repeated")
	}
}

func isOneCharacter(text string) bool {
	first, size := utf8.DecodeRuneInString(text)
	return strings.Count(text, string(first))*size == len(text)
}

// checkDisplayName adds what is wrong with a name shown to others. Only printable characters and
// inner spaces pass, which also keeps direction marks and line breaks out of pages and logs.
func checkDisplayName(check *errs.Check, name string) {
	switch {
	case !utf8.ValidString(name):
		check.Add("display_name", "is not valid UTF-8")
	case name == "" || utf8.RuneCountInString(name) > maxDisplayRunes:
		check.Add("display_name", "needs 1 to %d characters", maxDisplayRunes)
	case strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		check.Add("display_name", "contains a character that cannot be shown")
	case strings.Trim(name, " ") != name:
		check.Add("display_name", "starts or ends with a space")
	}
}

// checkStaffName adds what is wrong with a staff name.
func checkStaffName(check *errs.Check, name string) {
	bad := func(r rune) bool { return !isLetterOrDigit(r) && r != '.' && r != '_' && r != '-' }
	if name == "" || len(name) > maxStaffNameBytes || strings.IndexFunc(name, bad) >= 0 {
		check.Add("name", "needs 1 to %d of a-z, 0-9, dot, underscore and hyphen", maxStaffNameBytes)
	}
}
