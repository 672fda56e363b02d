package app

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"matchday/api"
	"matchday/errs"
	"matchday/history"
	"matchday/internal/telemetry"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/ledger/capture"
	"matchday/notify"
	"matchday/payments"
	"matchday/player"
	"matchday/sportsbook"
	"matchday/stream"
	"matchday/web"
)

// Config is the whole configuration: one section for each room. A missing field means a safe
// default, so a new program runs on an old file.
type Config struct {
	Data         string        `yaml:"data"`          // the folder that holds everything
	Listen       string        `yaml:"listen"`        // address of pages, API, readiness and metrics, default 127.0.0.1:8080
	PublicURL    string        `yaml:"public_url"`    // where players reach it, default from Listen
	Roles        []string      `yaml:"roles"`         // what this process runs, default all
	Slate        string        `yaml:"slate"`         // "built-in" (default) or "none"
	DrainTimeout time.Duration `yaml:"drain_timeout"` // for open requests at shutdown, default 10 s

	GeneratedAccess string        `yaml:"generated_access"` // "on" or "off": do the generated account and key work; absent is on for up, off for serve
	Staff           []StaffConfig `yaml:"staff"`            // accounts of an operator's own

	Telemetry     telemetry.Config       `yaml:"telemetry"`
	Jurisdictions jurisdiction.Config    `yaml:"jurisdictions"`
	Ledger        ledger.Config          `yaml:"ledger"`
	Capture       capture.Config         `yaml:"capture"` // of logs from the binlogs of clusters
	Stream        stream.Config          `yaml:"stream"`
	Player        player.Config          `yaml:"player"`
	Payments      payments.Config        `yaml:"payments"`
	Sandbox       payments.SandboxConfig `yaml:"sandbox"` // the stand-in for a payment provider
	Sportsbook    sportsbook.Config      `yaml:"sportsbook"`
	History       history.Config         `yaml:"history"`
	Webhooks      notify.Config          `yaml:"webhooks"`
	API           api.Config             `yaml:"api"`
	Web           web.Config             `yaml:"web"`
}

// Slates that a fresh data folder can start with.
const (
	SlateBuiltIn = "built-in"
	SlateNone    = "none"
)

// Default returns the configuration of `matchday up`: everything embedded in one data folder, with
// the generated account and key.
func Default(data string) Config {
	return Config{Data: data, GeneratedAccess: AccessOn}.withDefaults()
}

// WithData returns the configuration with everything in another folder.
func (c Config) WithData(data string) Config {
	c.Data = data
	for _, dir := range c.dirs() {
		*dir = ""
	}
	return c
}

// Effective returns the configuration with every default filled in, those of the rooms too: what a
// process runs with. No secret is in it, only where secrets are.
func (c Config) Effective() Config {
	c = c.withDefaults()
	c.Telemetry, c.Ledger, c.Capture = c.Telemetry.WithDefaults(), c.Ledger.WithDefaults(), c.Capture.WithDefaults()
	c.Stream, c.Player, c.Payments, c.Sandbox = c.Stream.WithDefaults(), c.Player.WithDefaults(), c.Payments.WithDefaults(), c.Sandbox.WithDefaults()
	c.Sportsbook.Exposure, c.Sportsbook.Settlement = c.Sportsbook.Exposure.WithDefaults(), c.Sportsbook.Settlement.WithDefaults()
	c.History, c.Webhooks, c.API = c.History.WithDefaults(), c.Webhooks.WithDefaults(), c.API.WithDefaults()
	c.Web = c.Web.WithDefaults()
	c.History.Shards = c.Ledger.Shards // one file for each
	if u, err := url.Parse(c.Telemetry.TracesURL); err == nil && u.User != nil {
		u.User = url.User("...") // a password has no place on a terminal
		c.Telemetry.TracesURL = u.String()
	}
	return c
}

// dirs returns the folders of the rooms by name.
func (c *Config) dirs() map[string]*string {
	return map[string]*string{
		"ledger": &c.Ledger.Dir, "stream": &c.Stream.Dir, "player": &c.Player.Dir, "payments": &c.Payments.Dir,
		"sandbox": &c.Sandbox.Dir, "sportsbook": &c.Sportsbook.Dir, "history": &c.History.Dir,
		"webhooks": &c.Webhooks.Dir,
	}
}

// withDefaults fills what is missing, folders of the rooms included.
func (c Config) withDefaults() Config {
	if c.Data == "" {
		c.Data = "matchday-data"
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if len(c.Roles) == 0 {
		c.Roles = []string{RoleAll}
	}
	if c.Slate == "" {
		c.Slate = SlateBuiltIn
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 10 * time.Second
	}
	if len(c.Jurisdictions.Jurisdictions) == 0 {
		c.Jurisdictions = jurisdiction.Default()
	}
	if u, err := url.Parse(c.PublicURL); err == nil && u.Scheme == "https" {
		c.Web.SecureCookies = true
	}
	for room, dir := range c.dirs() {
		if *dir == "" {
			*dir = filepath.Join(c.Data, room)
		}
	}
	return c
}

// Load reads a YAML file over the defaults. Unknown fields are errors, with their line.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	var c Config
	if len(bytes.TrimSpace(text)) > 0 {
		decoder := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.DisallowUnknownField())
		if err := decoder.Decode(&c); err != nil {
			return Config{}, fmt.Errorf("configuration %s: %w", path, err)
		}
	}
	return c.withDefaults(), nil
}

// YAML returns the effective configuration as a file that Load reads.
func (c Config) YAML() ([]byte, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return text, nil
}

// Validate returns everything that is wrong, section by section.
func (c Config) Validate() error {
	var problems []error
	if _, port, err := net.SplitHostPort(c.Listen); err != nil {
		problems = append(problems, fmt.Errorf("listen %q: want host:port", c.Listen))
	} else if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		problems = append(problems, fmt.Errorf("listen %q: %q is no port", c.Listen, port))
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
			problems = append(problems, fmt.Errorf("public_url %q: want http(s)://host", c.PublicURL))
		}
	}
	if c.Slate != SlateBuiltIn && c.Slate != SlateNone {
		problems = append(problems, fmt.Errorf("slate %q: want %s or %s", c.Slate, SlateBuiltIn, SlateNone))
	}
	if c.DrainTimeout < 0 || c.DrainTimeout > 5*time.Minute {
		problems = append(problems, fmt.Errorf("drain_timeout %s: want at most 5m", c.DrainTimeout))
	}
	modules, err := modulesOf(c.Roles)
	if err != nil {
		problems = append(problems, err)
	}
	if c.Ledger.InternalListen != "" {
		problems = append(problems, c.checkShared(modules)...)
	}
	problems = append(problems, named("", c.validateAccess())...)
	sections := []struct {
		name     string
		validate func() error
	}{
		{"telemetry", c.Telemetry.Validate}, {"jurisdictions", c.Jurisdictions.Validate}, {"ledger", c.Ledger.Validate}, {"capture", c.Capture.Validate},
		{"stream", c.Stream.Validate}, {"player", c.Player.Validate}, {"payments", c.Payments.Validate},
		{"sandbox", c.Sandbox.Validate}, {"sportsbook", c.Sportsbook.Validate}, {"history", c.History.Validate},
		{"webhooks", c.Webhooks.Validate},
		{"api", c.API.Validate}, {"web", c.Web.Validate},
	}
	for _, s := range sections {
		problems = append(problems, named(s.name, s.validate())...)
	}
	return errors.Join(problems...)
}

// checkShared returns what keeps these modules from running where several processes share the shards.
func (c Config) checkShared(modules []module) (problems []error) {
	for _, m := range modules {
		if isOfOneProcess(m) {
			problems = append(problems, fmt.Errorf("ledger.internal_listen: module %s keeps files of its own and cannot be shared; the roles ledger, ledger-api, books and webhooks can", m))
		}
	}
	if slices.Contains(modules, moduleHistory) {
		problems = append(problems, named("history", c.History.CheckShared(c.Ledger.ShardCount()))...)
	}
	if slices.Contains(modules, moduleWebhooks) {
		problems = append(problems, named("webhooks", c.Webhooks.CheckShared())...)
	}
	return problems
}

// named returns what is wrong with a section, each problem with the path of its field in the file.
func named(section string, err error) []error {
	if err == nil {
		return nil
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var problems []error
		for _, one := range several.Unwrap() {
			problems = append(problems, named(section, one)...)
		}
		return problems
	}
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		return []error{fmt.Errorf("%s: %s", section, strings.TrimPrefix(err.Error(), section+": "))}
	}
	if len(e.Fields) == 0 {
		return []error{fmt.Errorf("%s.%s", section, strings.TrimPrefix(e.Detail, section+"."))}
	}
	var problems []error
	for _, f := range e.Fields {
		problems = append(problems, fmt.Errorf("%s: %s", strings.TrimPrefix(section+"."+f.Location, "."), f.Message))
	}
	return problems
}

// Warnings names settings that work but that an operator should know of.
func (c Config) Warnings() []string {
	var warnings []string
	open := c.PublicURL != ""
	if host, _, err := net.SplitHostPort(c.Listen); err == nil {
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			warnings = append(warnings, "listen "+c.Listen+" is reachable from other machines without TLS: put a proxy with TLS in front and set public_url to its https address")
			open = true
		}
	}
	if open {
		warnings = append(warnings, "/metrics is served on the same port to whoever asks: let the proxy keep it inside")
	}
	if c.Stream.InClearText() {
		warnings = append(warnings, "stream."+c.Stream.Transport+".tls is off: records and the sign-in go to other machines in clear text: keep them on a private network")
	}
	switch {
	case c.GeneratedAccess == "":
		warnings = append(warnings, "generated_access is not set: on for up, off for serve")
	case !c.hasGeneratedAccess() && len(c.Staff) == 0:
		warnings = append(warnings, "nobody can sign in as staff: generated_access is off and staff has no entry")
	}
	for _, k := range c.API.Keys {
		if k.CreditLines {
			warnings = append(warnings, "api key "+k.Name+" may let players' accounts go below zero (credit_lines)")
		}
	}
	warnings = append(warnings, "payments go to the sandbox provider: no real money moves")
	return warnings
}
