package ledger

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"matchday/errs"
)

// ExportOptions says what to export. The zero value is everything.
type ExportOptions struct {
	// Shards to export; nil is all.
	Shards []int
	// From has the position to go on after, by shard: the end of a commit, as an earlier export's
	// trailer names it. A shard that is absent begins with its first transfer.
	From map[int]int64
	// Progress is called now and then; nil is no calls.
	Progress func(shard int, seq, head int64)
}

// ExportReport says what was exported.
type ExportReport struct {
	Transfers int64
	Heads     []ExportHead // of the shards exported: where the next export goes on
}

// Export writes the log as NDJSON: one JSON object a line, everything that the seals cover, so that
// who has the file can verify it without us ([VerifyExport]) and make equal books of it ([Import]).
// It ends at the heads the shards had when it began, reads a bounded page at a time, and holds no
// writer up. An export cut short is continued with o.From; a file cut short verifies up to its last
// whole commit.
//
// Errors: invalid if a position of o.From is not the end of a commit.
func (s *Service) Export(ctx context.Context, w io.Writer, o ExportOptions) (ExportReport, error) {
	return exportBooks(ctx, w, s.reads, o)
}

// Export writes the log as Service.Export does.
func (r *Reader) Export(ctx context.Context, w io.Writer, o ExportOptions) (ExportReport, error) {
	return exportBooks(ctx, w, r.shards, o)
}

// exportRows is about how many transfers one page has; a commit is never cut.
const exportRows = 2048

// exporter writes one file.
type exporter struct {
	ctx      context.Context //nolint:containedctx // lives for one call
	out      *bufio.Writer
	lines    int64
	report   ExportReport
	progress func(shard int, seq, head int64)
}

func exportBooks(ctx context.Context, w io.Writer, r shardReaders, o ExportOptions) (ExportReport, error) {
	e := &exporter{ctx: ctx, out: bufio.NewWriterSize(w, 64<<10), progress: o.Progress}
	if e.progress == nil {
		e.progress = func(int, int64, int64) {}
	}
	stores, homes := r.stores, r.place.current.Load().shards
	shards, err := o.shards(len(stores))
	if err != nil {
		return e.report, err
	}
	from := make([]sealedBatch, len(shards))
	to := make([]sealedBatch, len(shards))
	cut, err := cutOf(ctx, stores, shards)
	if err != nil {
		return e.report, err
	}
	header := &exportHeader{
		Format: exportFormat, Version: exportVersion, Shards: len(stores), Homes: homes[:], Chart: exportChart(),
	}
	if cut.moved {
		header.Version, header.Moving = exportMoves, cut.moving
	}
	for i, n := range shards {
		if from[i], err = beginning(ctx, stores[n], n, o.From[n]); err != nil {
			return e.report, err
		}
		if to[i], err = stores[n].sealAt(ctx, cut.shards[i].head); err != nil {
			return e.report, err
		}
		header.From = append(header.From, from[i].head(n))
	}
	if err := e.line(&exportLine{Header: header}); err != nil {
		return e.report, err
	}
	for i, n := range shards {
		if err := e.shard(stores[n], n, from[i], to[i].last); err != nil {
			return e.report, fmt.Errorf("export shard %d: %w", n, err)
		}
	}
	if cut.moved && !cut.moving {
		for i, n := range shards {
			if err := e.buckets(n, &cut.shards[i]); err != nil {
				return e.report, err
			}
		}
	}
	if err := e.line(&exportLine{Trailer: &exportTrailer{Lines: e.lines, Heads: e.report.Heads}}); err != nil {
		return e.report, err
	}
	return e.report, e.out.Flush()
}

// shards returns the shards asked for, in order.
func (o *ExportOptions) shards(of int) ([]int, error) {
	list := slices.Sorted(slices.Values(o.Shards))
	list = slices.Compact(list)
	if o.Shards == nil {
		for n := range of {
			list = append(list, n)
		}
	}
	for _, n := range list {
		if n < 0 || n >= of {
			return nil, errs.New(errs.CodeInvalid, "there is no shard %d", n)
		}
	}
	for n := range o.From {
		if !slices.Contains(list, n) {
			return nil, errs.New(errs.CodeInvalid, "a position is given for shard %d, which is not exported", n)
		}
	}
	return list, nil
}

// beginning returns the commit that an export goes on after.
func beginning(ctx context.Context, store readerStore, shard int, seq int64) (sealedBatch, error) {
	if seq == 0 {
		return sealedBatch{}, nil
	}
	b, err := store.sealAt(ctx, seq)
	if err != nil {
		return sealedBatch{}, err
	}
	if b.last != seq {
		return sealedBatch{}, errs.New(errs.CodeInvalid, "position %d-%d is not the end of a commit; the one before ends at %d-%d",
			shard, seq, shard, b.last)
	}
	return b, nil
}

// shard writes the commits of a shard after from, up to the sequence.
func (e *exporter) shard(store readerStore, shard int, from sealedBatch, head int64) error {
	at := from
	names := map[int64]Address{}
	for at.last < head {
		list, err := store.sealed(e.ctx, at.last, exportRows)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return errs.New(errs.CodeInternal, "no commit follows %d-%d", shard, at.last)
		}
		if err := e.learn(store, list, names); err != nil {
			return err
		}
		for i := range list {
			if list[i].last > head {
				break
			}
			if err := e.batch(shard, &list[i], names); err != nil {
				return err
			}
			at = list[i]
		}
		e.progress(shard, at.last, head)
	}
	e.report.Heads = append(e.report.Heads, at.head(shard))
	return nil
}

// learn adds the addresses that the commits name, keeping the map within a bound.
func (e *exporter) learn(store readerStore, list []sealedBatch, names map[int64]Address) error {
	if len(names) > maxAddressBook {
		clear(names)
	}
	var missing []int64
	asked := map[int64]bool{}
	var lines []line
	for i := range list {
		for _, a := range list[i].opened {
			names[a.id] = Address(a.address)
		}
	}
	for i := range list {
		for k := range list[i].rows {
			var err error
			if lines, err = decodeLines(lines[:0], list[i].rows[k].lines); err != nil {
				return errs.Wrap(err, errs.CodeInternal, "transfer %d", list[i].rows[k].seq)
			}
			for _, l := range lines {
				if _, ok := names[l.account]; !ok && !asked[l.account] {
					asked[l.account] = true
					missing = append(missing, l.account)
				}
			}
		}
	}
	found, err := store.names(e.ctx, missing)
	if err != nil {
		return err
	}
	for number, name := range found {
		names[number] = name
	}
	return nil
}

// batch writes one commit.
func (e *exporter) batch(shard int, b *sealedBatch, names map[int64]Address) error {
	if err := e.line(&exportLine{Batch: b.line(shard)}); err != nil {
		return err
	}
	for _, a := range b.opened {
		line := &exportAccount{shard, a.id, a.address, a.jurisdiction, a.currency}
		if err := e.line(&exportLine{Account: line}); err != nil {
			return err
		}
	}
	hold := 0
	for i := range b.rows {
		r := &b.rows[i]
		var made *storedHold
		if hold < len(b.holds) && b.holds[hold].seq == r.seq {
			made = &b.holds[hold]
			hold++
		}
		line, err := exportedRow(shard, r, made, names)
		if err != nil {
			return err
		}
		if err := e.line(&exportLine{Transfer: line}); err != nil {
			return err
		}
		e.report.Transfers++
	}
	return nil
}

// line writes one line.
func (e *exporter) line(l *exportLine) error {
	if err := json.MarshalWrite(e.out, l, jsontext.EscapeForHTML(false)); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	e.lines++
	return e.out.WriteByte('\n')
}
