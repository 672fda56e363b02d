package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"matchday/app"
	"matchday/history"
	"matchday/ledger"
	"matchday/notify"
)

func configCommand() *cobra.Command {
	var f processFlags
	check := &cobra.Command{
		Use:   "check",
		Short: "Print the effective configuration, warnings and errors",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			c = c.Effective()
			text, err := c.YAML()
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), string(text))
			for _, warning := range c.Warnings() {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
			}
			return configProblems(c.Validate())
		},
	}
	f.register(check)
	return group(&cobra.Command{Use: "config", Short: "Inspect the configuration"}, check, grantsCommand())
}

// grantsCommand prints what a database's administrator has to run for the clusters of ledger, history and webhooks.
func grantsCommand() *cobra.Command {
	var f processFlags
	var host string
	c := &cobra.Command{
		Use:   "grants",
		Short: "Print the rights that the accounts of ledger, history and webhooks need on their clusters",
		Long: "Prints SQL for the administrator of the databases: one run, before the first start, and again when a\n" +
			"cluster gets more shards. Running it twice does no harm. The accounts must exist. See docs/clusters.md.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			if err := configProblems(c.Effective().Validate()); err != nil {
				return err
			}
			script, err := ledger.Grants(c.Ledger, host)
			if err != nil {
				return err
			}
			more, err := history.Grants(c.History, host)
			if err != nil {
				return err
			}
			script += more + notify.Grants(c.Webhooks, host)
			if script == "" {
				script = "-- No clusters are configured (ledger.clusters, history.clusters, webhooks.cluster): everything is in files, which need no grants.\n"
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), script)
			return err
		},
	}
	f.register(c)
	c.Flags().StringVar(&host, "host", "%", "where the accounts connect from, as MySQL writes it")
	return c
}

func rolesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "roles",
		Short: "Print the roles of serve and what they run",
		Args:  noArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), app.RoleTable()) },
	}
}
