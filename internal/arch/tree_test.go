package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module is the import path of the project.
const module = "matchday"

// source is one parsed Go file of the project.
type source struct {
	path string // slash-separated, from the project's root
	room string // first folder, or internal/<name> below internal
	test bool
	file *ast.File
	set  *token.FileSet
}

// at names a place as path:line.
func (s source) at(node ast.Node) string {
	position := s.set.Position(node.Pos())
	return s.path + ":" + itoa(position.Line)
}

// root returns the project's root folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("the project's root should be two folders up: %v", err)
	}
	return dir
}

// walk calls visit with each file of the project, slash-separated from its root.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	dir := root(t)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != dir && (strings.HasPrefix(name, ".") || name == "out" || name == "bin" || name == "matchday-data") {
				return filepath.SkipDir
			}
			return nil
		}
		relative, err := filepath.Rel(dir, path)
		if err == nil {
			visit(filepath.ToSlash(relative))
		}
		return err
	})
	if err != nil {
		t.Fatalf("walk the project: %v", err)
	}
}

// sources parses every Go file that we wrote; generated files are left out.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	set := token.NewFileSet()
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_templ.go") {
			return
		}
		file, err := parser.ParseFile(set, filepath.Join(root(t), path), nil, parser.ParseComments)
		if err != nil {
			t.Fatalf("parse %s: %v", path, err)
		}
		all = append(all, source{
			path: path, room: roomOf(path), test: strings.HasSuffix(path, "_test.go"), file: file, set: set,
		})
	})
	if len(all) < 20 {
		t.Fatalf("found only %d Go files: the walk is broken", len(all))
	}
	return all
}

// roomOf returns the room that a path or a project import path lies in.
func roomOf(path string) string {
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, module+"/"), "/")
	if first == "internal" {
		second, _, _ := strings.Cut(rest, "/")
		return "internal/" + second
	}
	return first
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// lines reads a testdata file: one entry a line, # starts a comment.
func lines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for line := range strings.Lines(string(text)) {
		entry, _, _ := strings.Cut(line, "#")
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}
