package onceish_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// banned are words that docs/glossary.md has others for. They are in no name.
var banned = map[string]string{
	"anew": "again", "bell": "notifier", "board": "scheduler", "buried": "dead-lettered", "bury": "dead-letter", "burial": "dead letter",
	"crew": "pool", "debt": "pending redelivery", "dying": "dead-lettering", "hurry": "force-stop", "keeper": "monitor, poller or renewer",
	"lane": "key queue", "owe": "expect", "owed": "expected", "shelf": "index", "zombie": "leaked",
}

// maxCommentColumns is where comments are wrapped; a tab counts four.
const maxCommentColumns = 100

func TestNamesUseTheGlossary(t *testing.T) {
	t.Parallel()
	eachGoFile(t, func(fset *token.FileSet, file *ast.File) {
		if strings.HasSuffix(fset.Position(file.Package).Filename, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, name := range declaredNames(n) {
				if word, better := bannedIn(name.Name); word != "" {
					t.Errorf("%s: the name %s has the word %q: docs/glossary.md says %s", fset.Position(name.Pos()), name.Name, word, better)
				}
			}
			return true
		})
	})
}

// TestCommentsAreWrapped: what is preformatted, and the output of examples, may be wider.
func TestCommentsAreWrapped(t *testing.T) {
	t.Parallel()
	eachGoFile(t, func(fset *token.FileSet, file *ast.File) {
		if strings.HasPrefix(filepath.Base(fset.Position(file.Package).Filename), "example_") {
			return
		}
		for _, group := range file.Comments {
			for _, c := range group.List {
				at := fset.Position(c.Pos())
				if columns := 4*(at.Column-1) + utf8.RuneCountInString(c.Text); columns > maxCommentColumns && mustWrap(c.Text) && startsLine(t, at) {
					t.Errorf("%s: the comment is %d columns wide: wrap it at %d", at, columns, maxCommentColumns)
				}
			}
		}
	})
}

func TestGlossaryRulesBite(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lane", "newLane", "BuryRow", "rowsOwed"} {
		if word, _ := bannedIn(name); word == "" {
			t.Errorf("%s is allowed", name)
		}
	}
	for _, name := range []string{"plane", "allowed", "dashboard", "keyQueue"} {
		if word, _ := bannedIn(name); word != "" {
			t.Errorf("%s is not allowed, for %q", name, word)
		}
	}
	if mustWrap("//\tpreformatted") || mustWrap("//nolint:all") || !mustWrap("// prose") {
		t.Error("what must be wrapped is not told from what need not be")
	}
}

// declaredNames are those that a node declares, but for local variables.
func declaredNames(n ast.Node) []*ast.Ident {
	switch d := n.(type) {
	case *ast.FuncDecl:
		return []*ast.Ident{d.Name}
	case *ast.TypeSpec:
		return []*ast.Ident{d.Name}
	case *ast.ValueSpec:
		return d.Names
	case *ast.Field:
		return d.Names
	}
	return nil
}

// bannedIn returns the first banned word of a name, and what to say instead.
func bannedIn(name string) (word, better string) {
	start := 0
	for i := 1; i <= len(name); i++ {
		if i == len(name) || unicode.IsUpper(rune(name[i])) {
			word := strings.ToLower(name[start:i])
			if better := banned[word]; better != "" {
				return word, better
			}
			start = i
		}
	}
	return "", ""
}

func mustWrap(comment string) bool {
	return strings.HasPrefix(comment, "// ")
}

// startsLine reports whether nothing but tabs is before a comment.
func startsLine(t *testing.T, at token.Position) bool {
	t.Helper()
	source, err := os.ReadFile(at.Filename)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(source[at.Offset-at.Column+1:at.Offset]), "\t") == ""
}

// eachGoFile calls f with every Go file of the module.
func eachGoFile(t *testing.T, f func(*token.FileSet, *ast.File)) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(fset, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
