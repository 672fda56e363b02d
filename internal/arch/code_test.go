package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// moneyRooms hold amounts or prices: no float may appear in them, but for handing a number to a
// metric in metrics.go.
var moneyRooms = map[string]bool{
	"money": true, "odds": true, "ledger": true, "sportsbook": true, "payments": true, "history": true,
	"stream": true, "player": true, "jurisdiction": true, "id": true, "errs": true,
}

func TestNoFloatsNearMoney(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !moneyRooms[s.room] || s.test || strings.HasSuffix(s.path, "/metrics.go") {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.Ident:
				if n.Name == "float64" || n.Name == "float32" {
					t.Errorf("%s: %s near money", s.at(n), n.Name)
				}
			case *ast.BasicLit:
				if n.Kind == token.FLOAT {
					t.Errorf("%s: float literal %s near money", s.at(n), n.Value)
				}
			}
			return true
		})
	}
}

// calls that have one home each.
var homes = []struct {
	pkg, name string
	allowed   func(source) bool
	instead   string
}{
	{"time", "Now", measures, "take a clock.Clock"},
	{"time", "Since", measures, "take a clock.Clock"},
	{"time", "Until", measures, "take a clock.Clock"},
	{"time", "Sleep", func(source) bool { return false }, "wait for the thing itself, or for a timer together with the context"},
	{"context", "Background", func(s source) bool { return s.test || s.room == "cmd" }, "take the caller's context"},
	{"context", "TODO", func(source) bool { return false }, "take the caller's context"},
	{"os", "Exit", func(s source) bool { return s.room == "cmd" || s.test }, "return an error"},
	{"log", "Fatal", func(source) bool { return false }, "return an error"},
}

// measures says where the wall clock may be read: in its home, in programs that measure, in tests.
func measures(s source) bool {
	return s.test || s.room == "internal/clock" || s.room == "cmd" || s.room == "sim"
}

func TestCallsStayInTheirHomes(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			if ident, ok := call.Fun.(*ast.Ident); ok && ident.Name == "panic" && !s.test {
				t.Errorf("%s: panic; return an error", s.at(call))
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := selector.X.(*ast.Ident)
			if !ok {
				return true
			}
			for _, h := range homes {
				if pkg.Name == h.pkg && selector.Sel.Name == h.name && !h.allowed(s) {
					t.Errorf("%s: %s.%s; %s", s.at(call), h.pkg, h.name, h.instead)
				}
			}
			return true
		})
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	packages := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		folder := filepath.Dir(s.path)
		packages[folder] = packages[folder] || s.file.Doc != nil
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && !startsWith(d.Doc, d.Name.Name) {
					t.Errorf("%s: %s has no comment that starts with its name", s.at(d), d.Name.Name)
				}
			case *ast.GenDecl:
				checkSpecs(t, s, d)
			}
		}
	}
	for folder, documented := range packages {
		if !documented {
			t.Errorf("package %s has no package comment", folder)
		}
	}
}

// checkSpecs checks the names of one type, const or var declaration. A comment on a group of
// constants or variables documents its members.
func checkSpecs(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch n := spec.(type) {
		case *ast.TypeSpec:
			doc := n.Doc
			if doc == nil {
				doc = d.Doc
			}
			if n.Name.IsExported() && !startsWith(doc, n.Name.Name) {
				t.Errorf("%s: type %s has no comment that starts with its name", s.at(n), n.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				if name.IsExported() && n.Doc == nil && n.Comment == nil && d.Doc == nil {
					t.Errorf("%s: %s has no comment", s.at(n), name.Name)
				}
			}
		}
	}
}

// exportedReceiver reports whether a function is no method, or one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	expr := d.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if index, ok := expr.(*ast.IndexExpr); ok {
		expr = index.X
	}
	ident, ok := expr.(*ast.Ident)
	return ok && ident.IsExported()
}

// startsWith reports whether a comment begins with the name, after an article if need be.
func startsWith(doc *ast.CommentGroup, name string) bool {
	if doc == nil {
		return false
	}
	text := doc.Text()
	for _, article := range []string{"A ", "An ", "The "} {
		text = strings.TrimPrefix(text, article)
	}
	return strings.HasPrefix(text, name)
}

const (
	maxFunctionLines = 70
	maxFileLines     = 800
)

// TestFunctionsStayShort is a ratchet: functions over the limit stand in long_functions.txt with
// their length, and neither a new one nor a longer one is accepted.
func TestFunctionsStayShort(t *testing.T) {
	t.Parallel()
	known := lines(t, "long_functions.txt")
	var found []string
	for _, s := range sources(t) {
		if count := s.set.Position(s.file.End()).Line; count > maxFileLines {
			t.Errorf("%s has %d lines, %d are the most: does it hold one thing?", s.path, count, maxFileLines)
		}
		for _, decl := range s.file.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || d.Body == nil {
				continue
			}
			length := s.set.Position(d.End()).Line - s.set.Position(d.Pos()).Line + 1
			if length <= maxFunctionLines {
				continue
			}
			entry := fmt.Sprintf("%s %s %d", s.path, d.Name.Name, length)
			found = append(found, entry)
			if !slices.Contains(known, entry) {
				t.Errorf("%s: %s has %d lines, %d are the most", s.at(d), d.Name.Name, length, maxFunctionLines)
			}
		}
	}
	for _, entry := range known {
		if !slices.Contains(found, entry) {
			t.Errorf("testdata/long_functions.txt: %q is no longer so; delete or lower the line", entry)
		}
	}
}

func TestSkipsGiveAReason(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if ok && (selector.Sel.Name == "SkipNow" || (selector.Sel.Name == "Skip" && len(call.Args) == 0)) {
				t.Errorf("%s: a skipped test says why", s.at(call))
			}
			return true
		})
	}
}

func TestMigrationsAreNumberedWithoutGap(t *testing.T) {
	t.Parallel()
	next := map[string]int{}
	walk(t, func(path string) {
		folder := filepath.Dir(path)
		if !strings.HasSuffix(path, ".sql") || !strings.Contains(folder, "migrations") {
			return
		}
		next[folder]++
		if want := fmt.Sprintf("%04d_", next[folder]); !strings.HasPrefix(filepath.Base(path), want) {
			t.Errorf("%s: the number should be %s", path, want)
		}
		text, err := os.ReadFile(filepath.Join(root(t), path))
		if err != nil {
			t.Error(err)
		}
		strict := "STRICT"
		if strings.HasSuffix(folder, "_mysql") {
			strict = "ENGINE = InnoDB" // its sessions are strict
		}
		if strings.Contains(string(text), "CREATE TABLE") && !strings.Contains(string(text), strict) {
			t.Errorf("%s: tables are %s", path, strict)
		}
	})
	if len(next) == 0 {
		t.Error("no migrations found: the walk is broken")
	}
}
