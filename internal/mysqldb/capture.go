package mysqldb

import (
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"

	"matchday/errs"
)

// CaptureLogin returns the account that reads the binlog, for clients other than the pools here.
func (c Config) CaptureLogin() (user, password string, err error) {
	who := orWriter(c, secret{"capture_password", c.Capture, c.CapturePasswordFile, c.CapturePasswordEnv})
	password, err = who.read()
	return who.user, password, err
}

// CaptureTLS returns how the binlog of a node is read: with a verified certificate if the cluster
// asks for that, otherwise nil, in clear text, because the protocol's client cannot try both.
func (c Config) CaptureTLS(addr string) (*tls.Config, error) {
	if c.TLS != "verify" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", addr, err)
	}
	return &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}, nil
}

// maxReaders bounds the nodes that were added while running.
const maxReaders = 256

// Reader returns the reading pool to a node, also to one that the configuration does not name. Such a
// pool lives as long as the cluster; it holds no connection while nobody uses it.
func (c *Cluster) Reader(addr string) (*sql.DB, error) {
	if n, ok := c.nodes[addr]; ok {
		return n.read, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.readers[addr]; ok {
		return n.read, nil
	}
	if len(c.readers) >= maxReaders {
		return nil, errs.New(errs.CodeLimitReached, "more than %d nodes were added to the cluster", maxReaders)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, errs.New(errs.CodeInvalid, "node %q: want host:port", addr)
	}
	n, err := c.config.pools(addr)
	if err != nil {
		return nil, err
	}
	if c.readers == nil {
		c.readers = map[string]*node{}
	}
	c.readers[addr] = n
	return n.read, nil
}
