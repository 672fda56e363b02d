package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"matchday/app"
)

// profileFlags are what `profile` asks for, and where.
type profileFlags struct {
	process                                  processFlags
	kind, url, keyFile, staffName, staffFile string
	seconds                                  int
}

// profileCommand is `profile`.
func profileCommand() *cobra.Command {
	var f profileFlags
	c := &cobra.Command{
		Use:   "profile",
		Short: "Take a profile of a running matchday and write it to standard output",
		Long: "Asks a running process what it does with its time or memory, while it serves. The answer is a file\n" +
			"for go tool pprof, of kind trace for go tool trace. One profile at a time; the process logs who took it.\n\n" +
			"It needs a service key with profiles: true (--key-file), or a member of staff with the role admin who is\n" +
			"cleared for every jurisdiction (--staff and --password-file). Without either, the generated key of the\n" +
			"data folder is used.",
		Example: "  matchday profile --kind cpu --seconds 10 > cpu.pprof\n  matchday profile --kind heap --url https://bets.example.com --key-file key > heap.pprof",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f.process.registerFolder(c)
	c.Flags().StringVar(&f.kind, "kind", "cpu", "allocs, block, cpu, goroutine, heap, mutex or trace")
	c.Flags().IntVar(&f.seconds, "seconds", 0, "how long to watch: `number` from 1 to 60 (default 10)")
	c.Flags().StringVar(&f.url, "url", "", "`address` of the process (default that of the configuration)")
	c.Flags().StringVar(&f.keyFile, "key-file", "", "`file` whose first line is a service key")
	c.Flags().StringVar(&f.staffName, "staff", "", "`name` of a member of staff")
	c.Flags().StringVar(&f.staffFile, "password-file", "", "`file` whose first line is the password of --staff")
	c.MarkFlagsMutuallyExclusive("key-file", "staff")
	c.MarkFlagsRequiredTogether("staff", "password-file")
	return c
}

// run asks for the profile and copies it to out.
func (f *profileFlags) run(ctx context.Context, out io.Writer) error {
	config, err := f.process.load()
	if err != nil {
		return err
	}
	config = config.Effective()
	base := strings.TrimSuffix(f.url, "/")
	if base == "" {
		base = "http://" + config.Listen
	}
	if u, err := url.Parse(base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usageError{fmt.Errorf("--url: %q is not the address of a server", base)}
	}
	room, token, err := f.signIn(ctx, base, config)
	if err != nil {
		return err
	}
	path := base + "/v1/" + room + "/profiles/" + url.PathEscape(f.kind)
	if f.seconds != 0 {
		path += fmt.Sprintf("?seconds=%d", f.seconds)
	}
	answer, err := ask(ctx, http.MethodGet, path, token, nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	if _, err := io.Copy(out, answer); err != nil {
		return fmt.Errorf("read profile: %w", err)
	}
	return nil
}

// signIn returns the part of the API to ask and a token for it.
func (f *profileFlags) signIn(ctx context.Context, base string, config app.Config) (room, token string, err error) {
	switch {
	case f.keyFile != "":
		token, err = firstLine(f.keyFile)
		return "ledger", token, err
	case f.staffName != "":
		password, err := firstLine(f.staffFile)
		if err != nil {
			return "", "", err
		}
		body, err := json.Marshal(map[string]string{"name": f.staffName, "password": password})
		if err != nil {
			return "", "", fmt.Errorf("sign in: %w", err)
		}
		answer, err := ask(ctx, http.MethodPost, base+"/v1/operator/sessions", "", strings.NewReader(string(body)))
		if err != nil {
			return "", "", err
		}
		defer func() { _ = answer.Close() }()
		var session struct {
			Token string `json:"token"`
		}
		if err := json.NewDecoder(io.LimitReader(answer, maxAnswer)).Decode(&session); err != nil {
			return "", "", fmt.Errorf("sign in: %w", err)
		}
		return "operator", session.Token, nil
	}
	secrets, err := app.ReadSecrets(config.Data)
	if err != nil {
		return "", "", fmt.Errorf("the data folder has no generated key; use --key-file, or --staff: %w", err)
	}
	return "ledger", secrets.ServiceKey, nil
}

// maxAnswer bounds what is read of an answer that is not a profile.
const maxAnswer = 64 << 10

// ask sends one request and returns the body of its success; a refusal becomes an error with its
// reason.
func ask(ctx context.Context, method, path, token string, body io.Reader) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return nil, usageError{err}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("is matchday running? %w", err)
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		return answer.Body, nil
	}
	defer func() { _ = answer.Body.Close() }()
	var problem struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
		Errors []struct {
			Location string `json:"location"`
			Message  string `json:"message"`
		} `json:"errors"`
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // what cannot be read cannot be shown
	if json.Unmarshal(text, &problem) != nil || problem.Code == "" {
		return nil, fmt.Errorf("%s answers %s", r.URL.Host, answer.Status)
	}
	reason := problem.Code + ": " + problem.Detail
	for _, f := range problem.Errors {
		reason += "; " + f.Location + " " + f.Message
	}
	return nil, errors.New(reason)
}

// firstLine returns the first line of a secret's file.
func firstLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", usageError{err}
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", usageError{errors.New(path + " is empty")}
	}
	return line, nil
}
