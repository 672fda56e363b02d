package app

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const referenceHead = `# Configuration

One YAML file, a section for each room. ` + "`matchday up`, `serve` and the other commands take it with `--config`" + `; what is left out has the
default below, unknown fields are refused with their line. ` + "`matchday config check`" + ` prints what a process runs with, every wrong field
and warnings. Secrets are never in the file, only the names of files or environment variables that have them.

Durations are written like ` + "`300ms`, `10s` or `24h`" + `, amounts in minor units of their currency, sizes as their names say (KiB, bytes).
` + "`[]`" + ` in a name is an item of a list. Folders default to one of the room's name in ` + "`data`" + `. How clusters, streams and webhooks are set
up is told in [clusters](clusters.md), [streams](streams.md) and [webhooks](webhooks.md).

This page is made from the program: a test writes it (` + "`go test ./app -run Reference -update`" + `) and fails when it is not current.
`

// TestTheReferenceIsCurrent: docs/configuration.md has every field of the configuration, with its type, its
// default and what the source says it means.
func TestTheReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	const path = "../docs/configuration.md"
	r := &reference{t: t, types: map[string]map[string]string{}}
	got := r.render()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the program says: go test ./app -run Reference -update", path)
	}
}

// reference makes the page.
type reference struct {
	t     *testing.T
	types map[string]map[string]string // package.Type -> field -> what its comments say
	rows  []string
}

func (r *reference) render() string {
	c := Default("matchday-data")
	c.GeneratedAccess = ""
	c.Jurisdictions.Jurisdictions = nil // an item of a list of one's own has no defaults
	oneEach(reflect.ValueOf(&c).Elem())
	c.History.Next.Dir, c.Webhooks.Cluster.User = "none", "none" // without one, the rest of it means nothing
	effective := c.Effective()
	effective.History.Next.Dir, effective.Webhooks.Cluster.User = "", ""
	v := reflect.ValueOf(effective)
	var page strings.Builder
	page.WriteString(referenceHead)
	section := func(title string) {
		fmt.Fprintf(&page, "\n## %s\n\n| Field | Type | Default | Meaning |\n|---|---|---|---|\n%s\n", title, strings.Join(r.rows, "\n"))
		r.rows = nil
	}
	for i := range v.NumField() {
		if !isSection(v.Field(i).Type()) {
			r.field("", v, i)
		}
	}
	section("The process")
	for i := range v.NumField() {
		if isSection(v.Field(i).Type()) {
			r.fields("", v.Field(i))
			section("`" + yamlName(v.Type().Field(i)) + "`")
		}
	}
	return page.String()
}

func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct }

// oneEach puts an empty item into every empty list of structs, so that its fields are there.
func oneEach(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			oneEach(f)
		case reflect.Slice:
			if f.Len() == 0 && f.Type().Elem().Kind() == reflect.Struct {
				f.Set(reflect.MakeSlice(f.Type(), 1, 1))
				oneEach(f.Index(0))
			}
		}
	}
}

func (r *reference) fields(prefix string, v reflect.Value) {
	for i := range v.NumField() {
		r.field(prefix, v, i)
	}
}

func (r *reference) field(prefix string, v reflect.Value, i int) {
	field, value := v.Type().Field(i), v.Field(i)
	name := yamlName(field)
	switch {
	case !field.IsExported():
		return
	case strings.HasSuffix(field.Tag.Get("yaml"), ",inline"):
		r.fields(prefix, value)
		return
	case value.Kind() == reflect.Struct:
		r.fields(prefix+name+".", value)
		return
	case name == "":
		r.t.Errorf("%s.%s has no name in the file", v.Type(), field.Name)
		return
	}
	meaning := r.meaning(v.Type(), field.Name)
	if meaning == "" {
		r.t.Errorf("%s.%s has no comment: the reference would not say what %s%s means", v.Type(), field.Name, prefix, name)
	}
	byDefault := defaultOf(value)
	if name == "max_hashes" { // another on every machine
		byDefault = "one per processor"
	}
	r.rows = append(r.rows, fmt.Sprintf("| `%s%s` | %s | %s | %s |", prefix, name, typeName(value.Type()), byDefault, meaning))
	if value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct {
		r.fields(prefix+name+"[].", value.Index(0))
	}
}

func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "list"
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem()) + "s"
	case t.Kind() == reflect.Map:
		return typeName(t.Elem()) + " by " + typeName(t.Key())
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "text"
	default:
		return "number"
	}
}

func defaultOf(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct, v.Kind() == reflect.Map, v.IsZero():
		return ""
	case v.Type() == reflect.TypeFor[time.Duration]():
		return "`" + shortDuration(time.Duration(v.Int())) + "`"
	default:
		return "`" + fmt.Sprint(v.Interface()) + "`"
	}
}

// shortDuration writes 24h0m0s as 24h.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// meaning returns what the comments of a field say, those above it and that beside it.
func (r *reference) meaning(of reflect.Type, field string) string {
	key := of.PkgPath() + "." + of.Name()
	if r.types[key] == nil {
		r.types[key] = r.comments(of)
	}
	return r.types[key][field]
}

var spaces = regexp.MustCompile(`\s+`)

// inTable keeps a text within its cell.
var inTable = strings.NewReplacer("|", `\|`, "<", "&lt;")

// comments reads the source of a type.
func (r *reference) comments(of reflect.Type) map[string]string {
	out := map[string]string{}
	folder := filepath.Join("..", strings.TrimPrefix(of.PkgPath(), "matchday/"))
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			r.t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != of.Name() {
				return true
			}
			body, ok := spec.Type.(*ast.StructType)
			if !ok {
				return false
			}
			for _, f := range body.Fields.List {
				for _, name := range f.Names {
					text := strings.TrimSpace(f.Doc.Text() + " " + f.Comment.Text())
					out[name.Name] = inTable.Replace(spaces.ReplaceAllString(text, " "))
				}
			}
			return false
		})
	}
	return out
}
