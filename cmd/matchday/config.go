package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"matchday/app"
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
	return group(&cobra.Command{Use: "config", Short: "Inspect the configuration"}, check)
}

func rolesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "roles",
		Short: "Print the roles of serve and what they run",
		Args:  noArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), app.RoleTable()) },
	}
}
