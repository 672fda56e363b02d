package sportsbook

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"matchday/errs"
)

// maxRowErrors bounds how many errors of a file are listed; the rest is counted.
const maxRowErrors = 100

// maxCell bounds one field of a file, in bytes.
const maxCell = 500

// RowError is what is wrong with one line of a file.
type RowError struct {
	Line    int
	Column  string // empty for the whole line
	Message string
}

// String returns "line 12, week: must be 1 to 60".
func (e RowError) String() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	}
	return fmt.Sprintf("line %d, %s: %s", e.Line, e.Column, e.Message)
}

// rowErrors gathers the first errors of a file.
type rowErrors struct {
	list []RowError
	more int
}

func (r *rowErrors) add(line int, column, format string, args ...any) {
	if len(r.list) >= maxRowErrors {
		r.more++
		return
	}
	r.list = append(r.list, RowError{Line: line, Column: column, Message: fmt.Sprintf(format, args...)})
}

// count returns how many errors there were.
func (r *rowErrors) count() int { return len(r.list) + r.more }

// table reads a comma-separated file with a header row: fields by column name, line numbers as an
// editor shows them, LF or CRLF, with or without a byte order mark, quoted fields.
type table struct {
	csv     *csv.Reader
	columns map[string]int
	width   int // fields of the header
	limit   *io.LimitedReader
	row     []string
	line    int
	rows    int
	maxRows int
	wrong   *rowErrors
}

// openTable reads the header, which must have all the wanted columns, in any order, none twice.
// Other columns are passed over. A header that cannot be used is an error in wrong and nil.
func openTable(r io.Reader, wanted []string, maxBytes int64, maxRows int, wrong *rowErrors) *table {
	limit := &io.LimitedReader{R: r, N: maxBytes + 1}
	buffered := bufio.NewReader(limit)
	if mark, _ := buffered.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = buffered.Discard(3)
	}
	t := &table{csv: csv.NewReader(buffered), columns: make(map[string]int), limit: limit, maxRows: maxRows, wrong: wrong}
	t.csv.FieldsPerRecord = -1 // counted here, to say it with a line number
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	if err != nil {
		wrong.add(1, "", "%s", readProblem(err, "the file is empty: a header line is required"))
		return nil
	}
	t.width = len(header)
	before := wrong.count()
	for i, name := range header {
		name = strings.TrimSpace(name)
		if _, twice := t.columns[name]; twice && slices.Contains(wanted, name) {
			wrong.add(1, clipText(name), "the column appears twice")
		}
		t.columns[name] = i
	}
	for _, name := range wanted {
		if _, ok := t.columns[name]; !ok {
			wrong.add(1, name, "the column is missing")
		}
	}
	if wrong.count() > before {
		return nil
	}
	return t
}

// next moves to the next row; false at the end of the file or of what can be read of it. Rows that
// are no rows of this table are noted and passed over.
func (t *table) next() bool {
	for {
		row, err := t.csv.Read()
		if errors.Is(err, io.EOF) && t.limit.N > 0 {
			return false
		}
		if t.limit.N <= 0 {
			t.wrong.add(t.line+1, "", "the file is too large")
			return false
		}
		if err != nil {
			line := t.line + 1
			if parse, ok := errors.AsType[*csv.ParseError](err); ok {
				line = parse.Line
			}
			t.wrong.add(line, "", "%s", readProblem(err, "the line ends early"))
			return false
		}
		t.row = row
		t.line, _ = t.csv.FieldPos(0)
		if t.rows++; t.rows > t.maxRows {
			t.wrong.add(t.line, "", "the file has more than %d rows", t.maxRows)
			return false
		}
		if len(row) != t.width {
			t.wrong.add(t.line, "", "has %d fields, the header has %d", len(row), t.width)
			continue
		}
		if t.plain() {
			return true
		}
	}
}

// plain checks that every field is short printable UTF-8.
func (t *table) plain() bool {
	ok := true
	for name, i := range t.columns {
		cell := t.row[i]
		if len(cell) > maxCell || !utf8.ValidString(cell) || strings.ContainsFunc(cell, unicode.IsControl) {
			t.wrong.add(t.line, clipText(name), "must be at most %d bytes of plain UTF-8 text", maxCell)
			ok = false
		}
	}
	return ok
}

// cell returns the current row's field of a column, without spaces around it.
func (t *table) cell(column string) string {
	return strings.TrimSpace(t.row[t.columns[column]])
}

// readProblem says in words why a file cannot be read on.
func readProblem(err error, atEnd string) string {
	if errors.Is(err, io.EOF) {
		return atEnd
	}
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return parse.Err.Error()
	}
	return "cannot be read: " + err.Error()
}

// clipText bounds and cleans what an error repeats of a file.
func clipText(text string) string {
	const most = 40
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.ToValidUTF8(text, "?")
}

// fileError is the error of a file that was not imported.
func fileError(what string, wrong *rowErrors) error {
	if wrong.count() == 0 {
		return nil
	}
	e := errs.New(errs.CodeInvalid, "the %s has %d errors; nothing was imported", what, wrong.count())
	for _, r := range wrong.list {
		location := fmt.Sprintf("line %d", r.Line)
		if r.Column != "" {
			location += ", " + r.Column
		}
		e.Fields = append(e.Fields, errs.Field{Location: location, Message: r.Message})
	}
	return e
}
