package natsnode

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"
)

// environment is the variable that makes a process a node.
const environment = "MATCHDAY_NATS_NODE"

// node is what one node is told.
type node struct {
	Name       string   `json:"name"`
	Dir        string   `json:"dir"`
	Port       int      `json:"port"`
	RoutePort  int      `json:"route_port"`
	Routes     []string `json:"routes"`
	MaxPayload int32    `json:"max_payload"`
	User       string   `json:"user"`
	Password   string   `json:"password"`
	CertFile   string   `json:"cert_file"`
	KeyFile    string   `json:"key_file"`
}

// Main runs a node and returns true when it has ended, if this process was started as one; otherwise it
// returns false at once.
func Main() (bool, error) {
	text, ok := os.LookupEnv(environment)
	if !ok {
		return false, nil
	}
	var n node
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return true, fmt.Errorf("stream node: %w", err)
	}
	return true, n.run()
}

// run serves until the process is asked to end.
func (n node) run() error {
	options, err := n.options()
	if err != nil {
		return fmt.Errorf("stream node %s: %w", n.Name, err)
	}
	s, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("stream node %s: %w", n.Name, err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	s.Start()
	<-stop
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// options are the server's settings.
func (n node) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: n.Name,
		Host:       "127.0.0.1", Port: n.Port,
		JetStream: true, StoreDir: n.Dir, SyncAlways: true,
		JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 64 << 20,
		MaxPayload: n.MaxPayload,
		Username:   n.User, Password: n.Password,
		NoSigs: true, NoLog: true,
	}
	if len(n.Routes) > 1 { // the node itself is one
		// Clients know the addresses that they were given and no others: there may be a link in between.
		o.Cluster = server.ClusterOpts{Name: "matchday-test", Host: "127.0.0.1", Port: n.RoutePort, NoAdvertise: true}
	}
	for _, route := range n.Routes {
		u, err := url.Parse(route)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", route, err)
		}
		if len(n.Routes) > 1 {
			o.Routes = append(o.Routes, u)
		}
	}
	if n.CertFile != "" {
		config, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: n.CertFile, KeyFile: n.KeyFile})
		if err != nil {
			return nil, err
		}
		o.TLS, o.TLSConfig = true, config
	}
	return o, nil
}
