package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"matchday/app"
)

// processFlags are the settings that flags may override.
type processFlags struct {
	config, data, listen, logLevel, slate string
	roles                                 []string
}

// registerFolder registers the flags that say where the data is.
func (f *processFlags) registerFolder(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "YAML `file`; absent fields have safe defaults (see: matchday config check)")
	c.Flags().StringVar(&f.data, "data", "", "`folder` that holds everything (default matchday-data)")
}

// register registers the flags of a process that serves.
func (f *processFlags) register(c *cobra.Command) {
	f.registerFolder(c)
	c.Flags().StringVar(&f.listen, "listen", "", "`address` of pages and API (default 127.0.0.1:8080)")
	c.Flags().StringVar(&f.logLevel, "log-level", "", "debug, info, warn or error")
	c.Flags().StringVar(&f.slate, "slate", "", "games of a fresh folder: built-in or none")
}

// load reads the file, if any, and lays the flags over it.
func (f *processFlags) load() (app.Config, error) {
	c := app.Config{}
	if f.config != "" {
		var err error
		if c, err = app.Load(f.config); err != nil {
			return app.Config{}, usageError{err}
		}
	}
	override := func(field *string, flag string) {
		if flag != "" {
			*field = flag
		}
	}
	if f.data != "" && f.data != c.Data {
		c = c.WithData(f.data)
	}
	override(&c.Listen, f.listen)
	override(&c.Telemetry.LogLevel, f.logLevel)
	override(&c.Slate, f.slate)
	if len(f.roles) > 0 {
		c.Roles = f.roles
	}
	return c, nil
}

func upCommand() *cobra.Command {
	var f processFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Run the whole platform, embedded, in one data folder",
		Long: "Runs ledger, streams, sportsbook, history, API and pages in this process, with all data in one\n" +
			"folder. A fresh folder gets games of a fictional league to bet on, and a staff account whose\n" +
			"password is printed. Stop it with Ctrl-C; start it again and everything is as it was.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), &f, cmd.OutOrStdout(), cmd.ErrOrStderr(), true)
		},
	}
	f.register(c)
	return c
}

func serveCommand() *cobra.Command {
	var f processFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run chosen roles as a service, quietly",
		Long: "Like up, for machines: logs only, no secrets on the terminal. The generated staff account and service\n" +
			"key work only with generated_access: on; configure staff and api.keys instead. Roles: matchday roles.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), &f, cmd.OutOrStdout(), cmd.ErrOrStderr(), false)
		},
	}
	f.register(c)
	c.Flags().StringSliceVar(&f.roles, "roles", nil, "what this process runs (default all)")
	return c
}

// run runs a process until it is stopped; welcome prints where to go once it is ready.
func run(ctx context.Context, f *processFlags, out, errOut io.Writer, welcome bool) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	if c.GeneratedAccess == "" {
		c.GeneratedAccess = app.AccessOff
		if welcome {
			c.GeneratedAccess = app.AccessOn
		}
	}
	if welcome && c.Telemetry.LogLevel == "" {
		c.Telemetry.LogLevel = "warn"
	}
	if err := configProblems(c.Effective().Validate()); err != nil {
		return err
	}
	log, err := c.Telemetry.Logger(errOut)
	if err != nil {
		return err
	}
	a, err := app.New(c, log, version)
	if err != nil {
		return err
	}
	for _, warning := range a.Config.Warnings() {
		log.Info("configuration", "note", warning)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-a.Ready():
	}
	if welcome {
		printWelcome(out, a)
	} else {
		log.Info("ready", "roles", strings.Join(a.Config.Roles, ","))
	}
	err = <-ended
	if err == nil && welcome {
		fmt.Fprintln(out, "Stopped. Nothing acknowledged is lost; `matchday up` goes on from here.")
	}
	return err
}

// printWelcome says where to go and how to sign in.
func printWelcome(out io.Writer, a *app.App) {
	base := a.BaseURL()
	signIn, key := "accounts of the configuration", "those of the configuration (api.keys)"
	if a.Secrets.StaffPassword != "" {
		signIn, key = "name "+app.StaffName+", password "+a.Secrets.StaffPassword, a.Secrets.ServiceKey+" (secrets.json in the data folder)"
	}
	fmt.Fprintf(out, `
Matchday is up.

  Bet        %[1]s/            sign up, deposit with the sandbox card, place a bet
  Staff      %[1]s/staff       %[2]s
  API        %[1]s/docs        OpenAPI document at /openapi.json, metrics at /metrics

  Service key for /v1/ledger: %[3]s
  Data in %[4]s. Ctrl-C stops.

`, base, signIn, key, a.Config.Data)
	if file, ok := out.(*os.File); ok {
		_ = file.Sync() // a pipe cannot sync; whoever reads it has the text all the same
	}
}
