package sqltime

import "strings"

// nameOf returns the verb and the first table of a statement: a few words that our own SQL has, never
// a value. Of several statements in one packet it is the first that is more than USE.
func nameOf(q string) string {
	w := words{rest: q}
	verb := strings.ToLower(w.next())
	for verb == "use" {
		_, w.rest, _ = strings.Cut(w.rest, ";")
		verb = strings.ToLower(w.next())
	}
	switch verb {
	case "insert", "replace":
		return verb + w.after("into")
	case "select", "with", "delete":
		return verb + w.after("from")
	case "update", "create", "alter", "drop", "pragma":
		return verb + w.table()
	case "begin", "commit", "rollback", "start", "set", "savepoint", "release", "kill":
		return verb
	}
	return "other"
}

// maxScan bounds how far into a statement its table is looked for.
const maxScan = 4096

// words takes a statement apart. An opening bracket is a word.
type words struct{ rest string }

// next returns the next word, "" at the end.
func (w *words) next() string {
	i := strings.IndexFunc(w.rest, func(c rune) bool { return isWord(c) || c == '(' })
	if i < 0 {
		w.rest = ""
		return ""
	}
	w.rest = w.rest[i:]
	if w.rest[0] == '(' {
		w.rest = w.rest[1:]
		return "("
	}
	end := strings.IndexFunc(w.rest, func(c rune) bool { return !isWord(c) })
	if end < 0 {
		end = len(w.rest)
	}
	word := w.rest[:end]
	w.rest = w.rest[end:]
	return word
}

// isWord reports whether c belongs to a name; a qualified name is one word.
func isWord(c rune) bool {
	return c == '_' || c == '.' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// after returns a space and the table behind the first such keyword that a table follows, or "".
func (w *words) after(keyword string) string {
	w.rest = w.rest[:min(len(w.rest), maxScan)]
	for word := w.next(); word != ""; word = w.next() {
		if strings.EqualFold(word, keyword) {
			if name := w.table(); name != " (" {
				return name
			}
		}
	}
	return ""
}

// table returns a space and the next word without what qualifies it: of tables in many databases the
// name is the same.
func (w *words) table() string {
	word := w.next()
	if word == "" {
		return ""
	}
	return " " + strings.ToLower(word[strings.LastIndexByte(word, '.')+1:])
}
