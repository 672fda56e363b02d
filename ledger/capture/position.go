package capture

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"matchday/errs"
	"matchday/internal/mysqldb"
)

// connectTimeout bounds a connection attempt, answerTimeout the answer to a question about positions.
const (
	connectTimeout = 5 * time.Second
	answerTimeout  = 10 * time.Second
)

// server is a connection of the capture account to the node whose binlog is read. Positions are
// GTIDs: file names and offsets differ from node to node.
type server struct {
	node   string
	flavor string
	conn   *client.Conn
}

// dial connects to the cluster's primary. Whether it is a MariaDB or a MySQL it says itself: a
// reader that takes one for the other gets dummy events instead of rows.
func dial(ctx context.Context, cluster *mysqldb.Cluster) (*server, error) {
	_, node, err := cluster.PrimaryReads(ctx)
	if err != nil {
		return nil, err
	}
	c := cluster.Config()
	user, password, err := c.CaptureLogin()
	if err != nil {
		return nil, err
	}
	secure, err := c.CaptureTLS(node)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	dialer := &net.Dialer{}
	conn, err := client.ConnectWithDialer(ctx, "tcp", node, user, password, "", dialer.DialContext, func(c *client.Conn) error {
		c.SetTLSConfig(secure)
		c.ReadTimeout, c.WriteTimeout = answerTimeout, answerTimeout
		return nil
	})
	if err != nil {
		cluster.Forget(node)
		return nil, errs.Wrap(err, errs.CodeUnavailable, "connect to %s for its binlog", node)
	}
	out := &server{node: node, flavor: mysql.MySQLFlavor, conn: conn}
	if strings.Contains(strings.ToLower(conn.GetServerVersion()), "mariadb") {
		out.flavor = mysql.MariaDBFlavor
	}
	return out, nil
}

func (s *server) close() { _ = s.conn.Close() }

// ask returns the one value that a statement answers.
func (s *server) ask(q string, args ...any) (string, error) {
	r, err := s.conn.Execute(q, args...)
	if err != nil {
		return "", errs.Wrap(err, errs.CodeUnavailable, "ask %s for its binlog's positions", s.node)
	}
	defer r.Close()
	text, err := r.GetString(0, 0)
	return strings.ReplaceAll(text, "\n", ""), err // MySQL breaks long sets into lines
}

// newest returns the position at the binlog's end.
func (s *server) newest() (mysql.GTIDSet, error) {
	q := `SELECT @@global.gtid_executed`
	if s.flavor == mysql.MariaDBFlavor {
		q = `SELECT @@global.gtid_binlog_pos`
	}
	text, err := s.ask(q)
	if err != nil {
		return nil, err
	}
	return s.parse(text)
}

// oldest returns the position that the binlog begins after: what was before it is purged.
func (s *server) oldest() (mysql.GTIDSet, error) {
	if s.flavor == mysql.MySQLFlavor {
		text, err := s.ask(`SELECT @@global.gtid_purged`)
		if err != nil {
			return nil, err
		}
		return s.parse(text)
	}
	file, err := s.ask(`SHOW BINARY LOGS`)
	if err != nil {
		return nil, err
	}
	text, err := s.ask(`SELECT BINLOG_GTID_POS(?, 4)`, file)
	if err != nil {
		return nil, err
	}
	return s.parse(text)
}

func (s *server) parse(text string) (mysql.GTIDSet, error) {
	set, err := mysql.ParseGTIDSet(s.flavor, text)
	if err != nil {
		return nil, fmt.Errorf("position %q of %s: %w", text, s.node, err)
	}
	return set, nil
}

// holds reports whether the binlog has everything after the position, and knows the position at all;
// with the oldest position it goes back to.
func (s *server) holds(at mysql.GTIDSet) (kept, known bool, oldest mysql.GTIDSet, err error) {
	if oldest, err = s.oldest(); err != nil {
		return false, false, nil, err
	}
	newest, err := s.newest()
	if err != nil {
		return false, false, nil, err
	}
	known = newest.Contain(at)
	if position, ok := at.(*mysql.MariadbGTIDSet); ok && known {
		known, err = s.logged(position)
	}
	return at.Contain(oldest), known, oldest, err
}

// logged reports whether a MariaDB has logged each GTID of the position. Its position at the end does
// not tell: a commit of another server with the same number may stand there, where a fail-over lost some.
func (s *server) logged(at *mysql.MariadbGTIDSet) (bool, error) {
	text, err := s.ask(`SELECT @@global.gtid_binlog_state`)
	if err != nil {
		return false, err
	}
	last := map[[2]uint32]uint64{} // of each server in each domain
	for one := range strings.SplitSeq(text, ",") {
		if one == "" {
			continue // nothing is logged
		}
		gtid, err := mysql.ParseMariadbGTID(strings.TrimSpace(one))
		if err != nil {
			return false, fmt.Errorf("binlog state %q of %s: %w", text, s.node, err)
		}
		last[[2]uint32{gtid.DomainID, gtid.ServerID}] = gtid.SequenceNumber
	}
	for _, gtid := range at.Sets {
		if last[[2]uint32{gtid.DomainID, gtid.ServerID}] < gtid.SequenceNumber {
			return false, nil
		}
	}
	return true, nil
}
