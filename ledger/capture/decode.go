package capture

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/uuid"

	"matchday/errs"
	"matchday/id"
	"matchday/stream"
)

// handler turns the events of one connection into batches. It is called by one goroutine.
type handler struct {
	reader *reader
	stop   <-chan struct{} // closed when the session ends
	tables map[uint64]*table
	gtid   func(mysql.GTIDSet) error // adds the current DBTx to a position; nil: none is open
	open   map[*shard]*dbtx
	names  map[string]string // few and repeated: record types and jurisdictions
}

func newHandler(r *reader, stop <-chan struct{}) *handler {
	return &handler{reader: r, stop: stop, tables: map[uint64]*table{}, open: map[*shard]*dbtx{}, names: map[string]string{}}
}

// table is what is known of a table id of this connection; shard is nil if nobody wants its rows.
type table struct {
	shard     *shard
	transfers bool // otherwise batches
	columns   map[string]int
}

// dbtx is what one DBTx has brought to a shard so far.
type dbtx struct {
	batches []batchRow
	records []stream.Record
	bytes   int
	partial bool // records were left out: too many, or nobody takes them
}

// batchRow is a row of the batch table.
type batchRow struct {
	first, last int64
	records     int
	at          time.Time
}

// decode decodes a rows event if somebody wants its rows. The parser calls it for each.
func (h *handler) decode(e *replication.RowsEvent, data []byte) error {
	at, err := e.DecodeHeader(data)
	if err != nil {
		return err
	}
	t, err := h.find(e.Table)
	if err != nil || t.shard == nil || e.Type() != replication.EnumRowsEventTypeInsert {
		return err
	}
	if t.transfers && !h.wants(t.shard) {
		return nil
	}
	return e.DecodeData(at, data)
}

// find returns what a table is to us.
func (h *handler) find(e *replication.TableMapEvent) (*table, error) {
	if t, ok := h.tables[e.TableID]; ok {
		return t, nil
	}
	if len(h.tables) >= maxTables {
		clear(h.tables)
	}
	t := &table{}
	name := string(e.Table)
	if s, ok := h.reader.shards[string(e.Schema)]; ok && (name == "transfer" || name == "batch") {
		t.shard, t.transfers = s, name == "transfer"
		t.columns = map[string]int{}
		for i, column := range e.ColumnNameString() {
			t.columns[column] = i
		}
		for _, column := range wanted[name] {
			if _, ok := t.columns[column]; !ok {
				return nil, errs.New(errs.CodeInternal, "binlog of %s.%s has no column %s: binlog_row_metadata must be FULL", e.Schema, name, column)
			}
		}
	}
	h.tables[e.TableID] = t
	return t, nil
}

// maxTables bounds the table ids remembered; a server with hundreds of shards has thousands.
const maxTables = 100_000

// wanted are the columns that must be there.
var wanted = map[string][]string{
	"transfer": {"seq", "record_type", "subject", "player", "jurisdiction", "data"},
	"batch":    {"first_seq", "last_seq", "at_us", "records"},
}

// wants reports whether further records of the shard are worth decoding in the open DBTx.
func (h *handler) wants(s *shard) bool {
	if tx := h.of(s); !tx.partial {
		tx.partial = s.takesNothing(len(tx.records), tx.bytes)
		if tx.partial {
			tx.records, tx.bytes = nil, 0
		}
		return !tx.partial
	}
	return false
}

func (h *handler) of(s *shard) *dbtx {
	tx := h.open[s]
	if tx == nil {
		tx = &dbtx{}
		h.open[s] = tx
	}
	return tx
}

// HandleEvent implements replication.EventHandler.
func (h *handler) HandleEvent(e *replication.BinlogEvent) error {
	select {
	case <-h.stop:
		return replication.ErrSyncClosed
	default:
	}
	switch event := e.Event.(type) {
	case *replication.MariadbGTIDEvent:
		gtid := event.GTID
		h.begin(func(set mysql.GTIDSet) error {
			position, ok := set.(*mysql.MariadbGTIDSet)
			if !ok {
				return errs.New(errs.CodeInternal, "position %s is not of a MariaDB", set)
			}
			return position.AddSet(&gtid)
		})
	case *replication.GTIDEvent:
		return h.beginMySQL(event.SID, event.Tag, event.GNO)
	case *replication.GtidTaggedLogEvent:
		return h.beginMySQL(event.SID, event.Tag, event.GNO)
	case *replication.RowsEvent:
		return h.rows(event)
	case *replication.XIDEvent:
		return h.commit(e.Header.Timestamp)
	case *replication.QueryEvent:
		return h.query(string(event.Query), e.Header.Timestamp)
	case *replication.TransactionPayloadEvent:
		for _, inner := range event.Events {
			if err := h.HandleEvent(inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin opens a DBTx. Rows of one that did not end are dropped: it comes again as a whole.
func (h *handler) begin(gtid func(mysql.GTIDSet) error) {
	clear(h.open)
	h.gtid = gtid
}

func (h *handler) beginMySQL(sid []byte, tag mysql.Tag, number int64) error {
	server, err := uuid.FromBytes(sid)
	if err != nil {
		return fmt.Errorf("server id of a GTID: %w", err)
	}
	h.begin(func(set mysql.GTIDSet) error {
		position, ok := set.(*mysql.MysqlGTIDSet)
		if !ok {
			return errs.New(errs.CodeInternal, "position %s is not of a MySQL", set)
		}
		position.AddGTIDWithTag(server, tag, number)
		return nil
	})
	return nil
}

// query handles statements in the binlog: the ends of DBTx without XID, and changes of tables.
func (h *handler) query(text string, at uint32) error {
	word, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(text)), " ")
	switch word {
	case "BEGIN", "SAVEPOINT", "XA":
		return nil
	case "ROLLBACK":
		if strings.Contains(strings.ToUpper(text), " TO ") {
			return nil
		}
		clear(h.open)
	}
	return h.commit(at)
}

// commit hands over what the DBTx brought and notes the position after it.
func (h *handler) commit(at uint32) error {
	if h.gtid != nil {
		if err := h.gtid(h.reader.position); err != nil {
			return fmt.Errorf("note position: %w", err)
		}
		h.gtid = nil
	}
	if len(h.open) == 0 {
		return nil
	}
	source := h.reader.position.String()
	for s, tx := range h.open {
		tx.hand(s, source, h.stop)
	}
	clear(h.open)
	h.reader.metrics.behind(h.reader.clock.Now().Sub(time.Unix(int64(at), 0)))
	return nil
}

// hand hands a DBTx's batches to the shard. Only the last carries the position: before it lies
// nothing that the batches up to it lack.
func (tx *dbtx) hand(s *shard, source string, stop <-chan struct{}) {
	records := tx.records
	for i, row := range tx.batches {
		b := stream.Batch{Shard: s.number, First: row.first, Last: row.last, At: row.at}
		if i == len(tx.batches)-1 {
			b.Source = source
		}
		bytes := batchBytes
		for len(records) > 0 && records[0].Position.Seq <= row.last {
			records[0].Time = row.at
			b.Records = append(b.Records, records[0])
			bytes += sizeOf(&records[0])
			records = records[1:]
		}
		if tx.partial || len(b.Records) != row.records {
			s.skip(row.last)
			continue
		}
		s.put(b, bytes, stop)
	}
}

// batchBytes is about what a batch costs without records, recordBytes what a record costs beside
// its texts.
const (
	batchBytes  = 128
	recordBytes = 200
)

func sizeOf(r *stream.Record) int {
	return recordBytes + len(r.Subject) + len(r.Player) + len(r.Data)
}

// rows takes the rows of an event that was decoded.
func (h *handler) rows(e *replication.RowsEvent) error {
	t, ok := h.tables[e.TableID]
	if !ok || t.shard == nil || len(e.Rows) == 0 || e.Type() != replication.EnumRowsEventTypeInsert {
		return nil
	}
	tx := h.of(t.shard)
	for _, row := range e.Rows {
		var err error
		if t.transfers {
			err = h.transfer(tx, t, row)
		} else {
			err = tx.batch(t, row)
		}
		if err != nil {
			return fmt.Errorf("binlog row of shard %d: %w", t.shard.number, err)
		}
	}
	return nil
}

// transfer takes a row of the log if it has a record of this shard.
func (h *handler) transfer(tx *dbtx, t *table, row []any) error {
	if origin, ok := t.columns["origin_seq"]; ok && row[origin] != nil {
		return nil // copied from another shard, which has published it
	}
	kind, err := text(row[t.columns["record_type"]])
	if err != nil || kind == "" || tx.partial {
		return err
	}
	r := stream.Record{Type: h.intern(kind)}
	r.Position.Shard = t.shard.number
	if r.Position.Seq, err = number(row[t.columns["seq"]]); err != nil {
		return err
	}
	subject, err1 := text(row[t.columns["subject"]])
	player, err2 := text(row[t.columns["player"]])
	jurisdiction, err3 := text(row[t.columns["jurisdiction"]])
	data, err4 := text(row[t.columns["data"]])
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return err
		}
	}
	// What the parser returns lies in the packet's buffer: copy what is kept.
	r.Subject, r.Player = strings.Clone(subject), id.Player(strings.Clone(player))
	r.Jurisdiction, r.Data = id.Jurisdiction(h.intern(jurisdiction)), json.RawMessage(data)
	tx.records = append(tx.records, r)
	tx.bytes += sizeOf(&r)
	return nil
}

// batch takes a row of the batch table.
func (tx *dbtx) batch(t *table, row []any) error {
	var b batchRow
	var atUS, records int64
	for _, column := range []struct {
		name string
		into *int64
	}{{"first_seq", &b.first}, {"last_seq", &b.last}, {"at_us", &atUS}, {"records", &records}} {
		n, err := number(row[t.columns[column.name]])
		if err != nil {
			return fmt.Errorf("%s: %w", column.name, err)
		}
		*column.into = n
	}
	b.at, b.records = time.UnixMicro(atUS).UTC(), int(records)
	tx.batches = append(tx.batches, b)
	return nil
}

// intern keeps one copy of each of a few texts.
func (h *handler) intern(text string) string {
	if kept, ok := h.names[text]; ok {
		return kept
	}
	if len(h.names) >= 1000 {
		clear(h.names)
	}
	kept := strings.Clone(text)
	h.names[kept] = kept
	return kept
}

// number reads an integer column. Signs are right because binlog_row_metadata is FULL.
func number(v any) (int64, error) {
	switch n := v.(type) {
	case int64:
		return n, nil
	case uint64:
		return int64(n), nil // #nosec: sequences and times stay below 2^63
	case int32:
		return int64(n), nil
	case uint32:
		return int64(n), nil
	case int16:
		return int64(n), nil
	case uint16:
		return int64(n), nil
	case int8:
		return int64(n), nil
	case uint8:
		return int64(n), nil
	}
	return 0, errs.New(errs.CodeInternal, "a column is a %T, not a number", v)
}

// text reads a text column; NULL is "".
func text(v any) (string, error) {
	switch t := v.(type) {
	case nil:
		return "", nil
	case string:
		return t, nil
	case []byte:
		return string(t), nil
	}
	return "", errs.New(errs.CodeInternal, "a column is a %T, not a text", v)
}
