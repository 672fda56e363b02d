package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"matchday/errs"
)

// strict is how every body is read: names as spelt, each once, none unknown, valid UTF-8, one value.
var strict = json.JoinOptions(
	json.DefaultOptionsV2(),
	json.RejectUnknownMembers(true),
	json.MatchCaseInsensitiveNames(false),
	jsontext.AllowDuplicateNames(false),
	jsontext.AllowInvalidUTF8(false),
)

// decode reads data, one JSON object, into v. Everything that is wrong with it is errs.CodeInvalid
// and names the place.
func decode(data []byte, v any) error {
	switch firstByte(data) {
	case '{':
	case 0:
		return errs.New(errs.CodeInvalid, "the body is empty: a JSON object is expected")
	default:
		return errs.New(errs.CodeInvalid, "the body is not a JSON object")
	}
	err := json.Unmarshal(data, v, strict)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		message := "is not of the expected type"
		if errors.Is(err, json.ErrUnknownName) {
			message = "is not a known field"
		}
		return &errs.Error{Code: errs.CodeInvalid, Detail: "the body does not fit the schema",
			Fields: []errs.Field{{Location: location(e.JSONPointer), Message: message}}}
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		message := "is not valid JSON"
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			message = "is given twice"
		case errors.Is(err, io.ErrUnexpectedEOF):
			message = "ends too early"
		}
		return &errs.Error{Code: errs.CodeInvalid, Detail: "the body is not valid JSON",
			Fields: []errs.Field{{Location: location(e.JSONPointer), Message: message}}}
	}
	return errs.Wrap(err, errs.CodeInvalid, "the body is not valid JSON")
}

// firstByte returns the first byte that is not white space, or 0.
func firstByte(data []byte) byte {
	for _, c := range data {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// location turns /legs/2/price into legs[2].price, and the root into body. Long names are cut: they
// are the caller's and may be anything.
func location(p jsontext.Pointer) string {
	var out strings.Builder
	for token := range p.Tokens() {
		if token != "" && strings.Trim(token, "0123456789") == "" {
			out.WriteString("[" + clip(token, 20) + "]")
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('.')
		}
		out.WriteString(clip(token, 40))
		if out.Len() > 200 {
			break
		}
	}
	if out.Len() == 0 {
		return "body"
	}
	return out.String()
}

// clip bounds how much of a caller's text an answer repeats, and keeps it valid UTF-8.
func clip(text string, most int) string {
	if len(text) <= most {
		return strings.ToValidUTF8(text, "?")
	}
	return strings.ToValidUTF8(text[:most], "?") + "..."
}

// buffers are the bodies in flight. One that grew beyond keepBytes is left to the collector.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

const keepBytes = 2 << 20

// readBody reads a body of at most limit bytes into a pooled buffer; done gives it back, after which
// nothing may point into it.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, done func(), err error) {
	held := buffers.Get().(*[]byte)
	done = func() {
		if cap(*held) <= keepBytes {
			buffers.Put(held)
		}
	}
	if r.ContentLength > limit {
		done()
		w.Header().Set("Connection", "close") // do not read the rest of it
		return nil, nil, errs.New(errs.CodeTooLarge, "the body is over its bound of %d bytes", limit)
	}
	*held, err = readAll((*held)[:0], http.MaxBytesReader(w, r.Body, limit), r.ContentLength)
	if err == nil {
		return *held, done, nil
	}
	done()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, nil, errs.New(errs.CodeTooLarge, "the body is over its bound of %d bytes", limit)
	}
	return nil, nil, errs.Wrap(err, errs.CodeInvalid, "the body ended before its length")
}

// readAll appends what r has to buf, which grows once if the length is known.
func readAll(buf []byte, r io.Reader, length int64) ([]byte, error) {
	if need := int(length) + 1; length > 0 && cap(buf) < need {
		buf = make([]byte, 0, need)
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// checkContentType refuses bodies of another type than the route reads.
func checkContentType(r *http.Request, want string) error {
	header := r.Header.Get("Content-Type")
	if header == want { // nearly always
		return nil
	}
	got, params, err := mime.ParseMediaType(header)
	charset := strings.ToLower(params["charset"])
	if err == nil && got == want && (charset == "" || charset == "utf-8") {
		return nil
	}
	return &statusError{http.StatusUnsupportedMediaType, errs.New(errs.CodeInvalid, "send the body as %s in UTF-8", want)}
}
