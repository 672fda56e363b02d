package mysqldb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"matchday/errs"
)

// Refusal is a setting of a server under which money could be lost.
type Refusal struct {
	Setting string
	Value   string // what it is; "" if the server does not have it
	Want    string // what it must be
	Why     string // what would be lost
}

// String returns the refusal as one line.
func (r Refusal) String() string {
	value := r.Value
	if value == "" {
		value = "not set"
	}
	return fmt.Sprintf("%s is %s, must be %s: %s", r.Setting, value, r.Want, r.Why)
}

// rule is one setting that is checked.
type rule struct {
	names []string // the first that the server has counts; none of them is a refusal
	want  string
	ok    func(value string) bool
	why   string
	on    func(server) bool // nil: everywhere
}

// server is what kind of server the settings are of.
type server struct{ mariaDB, aurora, semiSync bool }

func is(want ...string) func(string) bool {
	return func(value string) bool {
		for _, w := range want {
			if strings.EqualFold(value, w) {
				return true
			}
		}
		return false
	}
}

func atLeast(least uint64) func(string) bool {
	return func(value string) bool {
		n, err := strconv.ParseUint(value, 10, 64)
		return err == nil && n >= least
	}
}

// leastPacket is the smallest statement a server must take: the largest record and its transfer fit
// in it many times over.
const leastPacket = 4 << 20

// Aurora's storage writes six copies before it answers: it has no doublewrite buffer and does not
// sync its binlog by sync_binlog. What says when a commit is answered stays with the settings.
func ownStorage(s server) bool      { return !s.aurora }
func mariaDB(s server) bool         { return s.mariaDB }
func mySQL(s server) bool           { return !s.mariaDB }
func waitsForReplica(s server) bool { return s.semiSync && !s.aurora }

var rules = []rule{
	{[]string{"innodb_flush_log_at_trx_commit"}, "1", is("1"), "a power cut loses commits that were answered", nil},
	{[]string{"innodb_doublewrite"}, "ON", is("ON", "1", "DETECT_AND_RECOVER", "FAST"), "a page half written in a power cut cannot be repaired", ownStorage},
	{[]string{"innodb_force_recovery"}, "0", is("0"), "the server runs in a repair mode that skips what makes commits safe", nil},
	{[]string{"sync_binlog"}, "1", is("1"), "after a power cut the binlog lacks commits, and replicas and streams miss them for ever", ownStorage},
	{[]string{"log_bin"}, "ON", is("ON", "1"), "without a binlog there is no replica to fail over to and nothing to stream from", nil},
	{[]string{"binlog_format"}, "ROW", is("ROW"), "statements may do something else on a replica", nil},
	{[]string{"binlog_row_image"}, "FULL", is("FULL"), "streams read whole rows from the binlog", nil},
	{[]string{"binlog_row_metadata"}, "FULL", is("FULL"), "streams find columns by name; without it a changed table is read wrongly", nil},
	{[]string{"log_slave_updates", "log_replica_updates"}, "ON", is("ON", "1"), "a promoted replica lacks the log of what came before", ownStorage},
	{[]string{"gtid_strict_mode"}, "ON", is("ON", "1"), "a replica may take rows in another order and differ from its primary", mariaDB},
	{[]string{"gtid_mode"}, "ON", is("ON"), "after a fail-over nobody knows where a replica or a stream must go on", mySQL},
	{[]string{"enforce_gtid_consistency"}, "ON", is("ON", "1"), "a commit without GTID is missed by replicas and streams", mySQL},
	{[]string{"server_id"}, "above 0", atLeast(1), "a server without a number cannot be replicated", nil},
	{[]string{"max_allowed_packet"}, fmt.Sprintf("at least %d", leastPacket), atLeast(leastPacket), "a large record does not fit into a statement", nil},
	{[]string{"rpl_semi_sync_master_enabled", "rpl_semi_sync_source_enabled"}, "ON", is("ON", "1"), "the loss of the primary loses commits that no replica has", waitsForReplica},
	{[]string{"rpl_semi_sync_master_wait_point", "rpl_semi_sync_source_wait_point"}, "AFTER_SYNC", is("AFTER_SYNC"), "a commit is seen before a replica has it, and is gone after a fail-over", waitsForReplica},
	{[]string{"rpl_semi_sync_master_timeout", "rpl_semi_sync_source_timeout"}, "at least 86400000 (a day, in ms)", atLeast(86_400_000), "when the replica is slow the primary goes on without it, and its loss loses commits", waitsForReplica},
	{[]string{"rpl_semi_sync_master_wait_no_slave", "rpl_semi_sync_source_wait_no_replica"}, "ON", is("ON", "1"), "a primary without replicas goes on alone, and its loss loses commits", waitsForReplica},
}

// rebuildable are the settings that count where everything is made again from elsewhere after a loss: the
// last commits may be gone, but what is there must be whole.
var rebuildable = []string{"innodb_doublewrite", "innodb_force_recovery", "max_allowed_packet"}

// RebuildableRefusals is [Refusals] for databases of projections only. They keep their position in the
// DBTx of their data, so a server that loses its last commits makes them read the same records again.
func RebuildableRefusals(variables map[string]string) []Refusal {
	return slices.DeleteFunc(Refusals(variables, ReplicationNone), func(r Refusal) bool { return !slices.Contains(rebuildable, r.Setting) })
}

// Refusals returns what is wrong with a server's variables, by their names in small letters.
func Refusals(variables map[string]string, replication string) []Refusal {
	_, aurora := variables["aurora_version"]
	s := server{
		mariaDB: strings.Contains(strings.ToLower(variables["version"]), "mariadb"), aurora: aurora,
		semiSync: replication == ReplicationSemiSync,
	}
	var out []Refusal
	for _, r := range rules {
		if r.on != nil && !r.on(s) {
			continue
		}
		name, value := r.names[0], ""
		for _, n := range r.names {
			if v, ok := variables[n]; ok {
				name, value = n, v
				break
			}
		}
		if !r.ok(value) {
			out = append(out, Refusal{Setting: name, Value: value, Want: r.want, Why: r.why})
		}
	}
	return out
}

// variables reads a server's global variables.
func variables(ctx context.Context, on *sql.Conn) (map[string]string, error) {
	rows, err := on.QueryContext(ctx, `SHOW GLOBAL VARIABLES`)
	if err != nil {
		return nil, Wrap("read settings", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, Wrap("read settings", err)
		}
		out[strings.ToLower(name)] = value
	}
	return out, Wrap("read settings", rows.Err())
}

// refuse makes one error of refusals; nil if there are none.
func refuse(node string, list []Refusal) error {
	if len(list) == 0 {
		return nil
	}
	text := make([]string, len(list))
	for i, r := range list {
		text[i] = r.String()
	}
	return errs.New(errs.CodeInvalid, "%s has settings that would lose money: %s", node, strings.Join(text, "; "))
}
