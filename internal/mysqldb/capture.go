package mysqldb

import (
	"crypto/tls"
	"fmt"
	"net"
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
