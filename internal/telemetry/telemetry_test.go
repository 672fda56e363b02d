package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheLevelSaysWhatIsLogged(t *testing.T) {
	t.Parallel()
	tests := []struct{ level, want string }{
		{"", "info warn error"},
		{"debug", "debug info warn error"},
		{"info", "info warn error"},
		{"warn", "warn error"},
		{"error", "error"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		log, err := Config{LogLevel: tt.level, LogFormat: "json"}.Logger(&out)
		if err != nil {
			t.Fatal(err)
		}
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			log.Log(t.Context(), level, strings.ToLower(level.String()))
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			var record struct {
				Msg string `json:"msg"`
			}
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatalf("%q is no JSON: %v", line, err)
			}
			got = append(got, record.Msg)
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("level %q logs %q, want %q", tt.level, got, tt.want)
		}
	}
}

func TestTextIsTheDefaultFormat(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"", "text"} {
		var out bytes.Buffer
		log, err := Config{LogFormat: format}.Logger(&out)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("ready", "shards", 2)
		if got, want := out.String(), "level=INFO msg=ready shards=2\n"; !strings.HasSuffix(got, want) {
			t.Errorf("format %q writes %q, want ... %q", format, got, want)
		}
	}
}

func TestValidateNamesEveryWrongSetting(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		c    Config
		want []string // none: valid
	}{
		{"nothing set", Config{}, nil},
		{"everything set", Config{LogLevel: "warn", LogFormat: "json", TracesURL: "https://traces.example:4318", TracesPerMille: 1000}, nil},
		{"words that are none", Config{LogLevel: "loud", LogFormat: "xml"}, []string{"log_level", "log_format"}},
		{"an address without scheme", Config{TracesURL: "traces.example:4318"}, []string{"traces_url"}},
		{"an address of another protocol", Config{TracesURL: "grpc://traces.example"}, []string{"traces_url"}},
		{"an address without host", Config{TracesURL: "http://"}, []string{"traces_url"}},
		{"a share below nothing", Config{TracesPerMille: -1}, []string{"traces_per_mille"}},
		{"a share above all", Config{TracesPerMille: 1001}, []string{"traces_per_mille"}},
	}
	for _, tt := range tests {
		err := tt.c.Validate()
		if (err == nil) != (len(tt.want) == 0) {
			t.Errorf("%s: got %v, want an error about %v", tt.name, err, tt.want)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want an error about %s", tt.name, err, want)
			}
		}
	}
	if _, err := (Config{LogLevel: "loud"}).Logger(&bytes.Buffer{}); err == nil {
		t.Error("a logger with a level that is none")
	}
}

func TestNothingIsTracedWithoutAnAddress(t *testing.T) {
	t.Parallel()
	provider, flush, err := Config{TracesPerMille: 1000}.Tracer(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("test").Start(t.Context(), "request")
	if span.IsRecording() || span.SpanContext().IsValid() {
		t.Error("a span is recorded although tracing is off")
	}
	span.End()
	if err := flush(t.Context()); err != nil {
		t.Errorf("flush: %v", err)
	}
}

func TestSpansReachTheConfiguredAddress(t *testing.T) {
	t.Parallel()
	paths := make(chan string, 16)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.Method + " " + r.URL.Path }))
	defer collector.Close()
	provider, flush, err := Config{TracesURL: collector.URL}.Tracer(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("test").Start(t.Context(), "request")
	span.End()
	if err := flush(t.Context()); err != nil {
		t.Fatalf("flush: %v", err)
	}
	select {
	case got := <-paths:
		if !strings.HasPrefix(got, "POST /v1/traces") {
			t.Errorf("the collector got %s, want POST /v1/traces", got)
		}
	default:
		t.Error("nothing arrived by the end of the flush")
	}
}
