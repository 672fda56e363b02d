package ledger

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/mariadb"
	"matchday/stream"
)

// TestABatchThatIsCutAnywhereIsWrittenOnceOrNever loses each packet of a batch in turn, in each way in which a
// packet can be lost, and then each packet of the settling that follows: connections that are made again, and
// questions which node is the primary, are among them. What a barrier then says holds for good, whatever
// arrives late: the batch is there whole and once, or never. In the end the audit proves the books.
func TestABatchThatIsCutAnywhereIsWrittenOnceOrNever(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("cuts connections to a database server hundreds of times")
	}
	for _, first := range []fate{lost, torn, unanswered, late} {
		t.Run(string(first), func(t *testing.T) {
			t.Parallel()
			c := newCuts(t, mariadb.Shared(t), 0)
			for at := 1; c.run(cut{at, isAny, first}); at++ {
				if at > maxCuts {
					t.Fatal("the batch never ends")
				}
			}
			if first == unanswered || first == late { // then there is something to be settled
				for _, second := range []fate{unanswered, late} { // a lost one leaves less behind than a late one
					for at := 1; c.run(cut{1, isCommit, first}, cut{at, isAny, second}); at++ {
						if at > maxCuts {
							t.Fatal("the settling never ends")
						}
					}
				}
			}
			c.end()
		})
	}
}

// TestABatchOfSeveralPacketsThatIsCutIsWrittenOnceOrNever does the same with batches that one packet cannot
// hold: a DBTx is open at the server while the next packet is on its way.
func TestABatchOfSeveralPacketsThatIsCutIsWrittenOnceOrNever(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a database server of its own")
	}
	s := ownServer(t, mariadb.Options{Args: []string{"--max-allowed-packet=4M"}})
	for _, first := range []fate{lost, torn, unanswered, late} {
		t.Run(string(first), func(t *testing.T) {
			t.Parallel()
			c := newCuts(t, s, 80)
			at := 1
			for c.run(cut{at, isAny, first}) {
				if at++; at > maxCuts {
					t.Fatal("the batch never ends")
				}
			}
			if at < 4 { // accounts are read, and the batch takes two at least
				t.Errorf("the batch took %d packets, want more", at-1)
			}
			c.end()
		})
	}
}

// maxCuts is more packets than a commit or its settling takes.
const maxCuts = 60

// cut is what becomes of one packet: of those that count, that with the number since the last cut.
type cut struct {
	at     int
	counts func(text []byte) bool
	fate   fate
}

func isAny([]byte) bool { return true }

// cuts is a ledger behind a proxy, and what it must have by now.
type cuts struct {
	*world
	t       *testing.T
	proxy   *packetProxy
	records int // in each batch, of the largest size, and twice that as a text of SQL
	cases   int
	seq     int64
	total   int64 // of all deposits
}

func newCuts(t *testing.T, server *mariadb.Server, records int) *cuts {
	t.Helper()
	p := startPacketProxy(t, server.Addr())
	w := onMySQL(t, onNodes(server.Database(t), "0", p.addr()), func(c *Config) { c.FailoverWait = time.Nanosecond })
	w.must(deposit("first", "p1", 1))
	return &cuts{world: w, t: t, proxy: p, records: records, seq: 1, total: 1}
}

// batch is one job: of a player whose account is in memory, and of one who is new.
func (c *cuts) batch() []Transfer {
	list := []Transfer{
		deposit(fmt.Sprintf("a%d", c.cases), "p1", 3),
		deposit(fmt.Sprintf("b%d", c.cases), id.Player(fmt.Sprintf("q%d", c.cases)), 4),
	}
	const wrap = `{"text":""}`
	for i := range c.records {
		d := deposit(fmt.Sprintf("r%d-%d", c.cases, i), "p1", 1)
		d.Record = &stream.Draft{
			Type: stream.TypeBetPlaced, Subject: d.Key,
			Data: json.RawMessage(`{"text":"` + strings.Repeat("'", stream.MaxRecordBytes-len(wrap)) + `"}`),
		}
		list = append(list, d)
	}
	return list
}

// run commits a batch while packets are cut, and reports whether all the cuts were made.
func (c *cuts) run(list ...cut) bool {
	c.t.Helper()
	c.cases++
	name := fmt.Sprintf("case %d:", c.cases)
	for _, one := range list {
		name += fmt.Sprintf(" %s at %d", one.fate, one.at)
	}
	batch, seen, left := c.batch(), 0, list
	c.proxy.decideBy(func(text []byte) fate {
		if len(left) == 0 || !left[0].counts(text) {
			return arrives
		}
		if seen++; seen < left[0].at {
			return arrives
		}
		now := left[0].fate
		seen, left = 0, left[1:]
		return now
	})
	results, err := c.CommitBatch(c.t.Context(), LaneInteractive, batch)
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	c.settled(name)
	c.proxy.decideBy(nil)
	isMade := len(left) == 0
	there := c.wantAllOrNothing(name+", settled", batch)
	for i := range results {
		if err := results[i].Err; err == nil && !there || err != nil && !errs.Is(err, errs.CodeUnavailable) {
			c.t.Fatalf("%s: %s was answered with %v; it is in the log: %t", name, batch[i].Key, err, there)
		}
	}
	c.proxy.deliver()
	if after := c.wantAllOrNothing(name+", delivered", batch); after != there {
		c.t.Fatalf("%s: in the log before a late packet arrived: %t, and after it: %t", name, there, after)
	}
	c.wantNext(name, batch, there)
	return isMade
}

// settled waits until the outcome of all commits is known. The server itself has to end what a cut connection
// has locked.
func (c *cuts) settled(name string) {
	c.t.Helper()
	for limit := time.Now().Add(5 * time.Minute); ; <-time.After(20 * time.Millisecond) {
		err := c.Barrier(c.t.Context(), 0)
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			c.t.Fatalf("%s: the outcome is still not known: %v", name, err)
		}
	}
}

// wantAllOrNothing reports whether the transfers are in the log.
func (c *cuts) wantAllOrNothing(when string, list []Transfer) bool {
	c.t.Helper()
	n := 0
	for i := range list {
		_, found, err := c.Lookup(c.t.Context(), list[i].Player, list[i].Key, nil)
		if err != nil {
			c.t.Fatalf("%s: look %s up: %v", when, list[i].Key, err)
		}
		if found {
			n++
		}
	}
	if n != 0 && n != len(list) {
		c.t.Fatalf("%s: %d of %d transfers of one batch are in the log", when, n, len(list))
	}
	return n > 0
}

// wantNext commits another transfer and then the batch again, and expects the log to go on without a gap.
func (c *cuts) wantNext(name string, batch []Transfer, there bool) {
	c.t.Helper()
	var minor int64
	for i := range batch {
		minor += batch[i].Postings[1].AmountMinor
	}
	if there {
		c.seq += int64(len(batch))
	}
	c.seq++
	if r := c.must(deposit(fmt.Sprintf("c%d", c.cases), "p1", 1)); r.Position.Seq != c.seq {
		c.t.Fatalf("%s: the next commit is %s, want sequence %d", name, r.Position, c.seq)
	}
	again, err := c.CommitBatch(c.t.Context(), LaneInteractive, batch)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range again {
		if again[i].Err != nil || again[i].Replayed != there {
			c.t.Fatalf("%s: %s asked again: %+v, want a replay: %t", name, batch[i].Key, again[i], there)
		}
	}
	if !there {
		c.seq += int64(len(batch))
	}
	c.total += minor + 1
}

// end proves the books.
func (c *cuts) end() {
	c.t.Helper()
	c.wantBalance(PSP("sandbox", nj), -c.total, 0)
	c.wantSoundClusters()
	c.t.Logf("%d cases", c.cases)
}
