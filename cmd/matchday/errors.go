package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"matchday/errs"
)

// usageError is a wrong command line or configuration: nothing was started.
type usageError struct{ err error }

// Error implements error.
func (e usageError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e usageError) Unwrap() error { return e.err }

// flagProblems is what is wrong with options whose fields are named like their flags; nil if nothing is.
func flagProblems(err error) error {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || len(e.Fields) == 0 {
		return err
	}
	text := "invalid flags"
	for _, f := range e.Fields {
		text += "\n  --" + f.Location + ": " + f.Message
	}
	return usageError{errors.New(text)}
}

// configProblems is what is wrong with the configuration, a line each; nil if nothing is.
func configProblems(err error) error {
	if err == nil {
		return nil
	}
	return usageError{errors.New("configuration:\n  " + strings.ReplaceAll(err.Error(), "\n", "\n  "))}
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usageError{err}
	}
	return nil
}

// group makes a command that only holds others: alone it shows its help, and another word is an error.
func group(c *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	c.Args = noArgs
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(commands...)
	return c
}

// exitCode is 2 for a wrong command line or configuration, 130 after an interrupt, 1 for all else.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if _, wrong := errors.AsType[usageError](err); wrong {
		return 2
	}
	if errors.Is(err, context.Canceled) {
		return 130
	}
	return 1
}
