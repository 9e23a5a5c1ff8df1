package onceish_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestBubblesUseTheirOwnContext: the context of the test around a bubble of testing/synctest is of
// outside of it. If what runs in the bubble is the first to wait for it, its end is fatal for the
// whole process, now and then.
func TestBubblesUseTheirOwnContext(t *testing.T) {
	t.Parallel()
	eachGoFile(t, func(fset *token.FileSet, file *ast.File) {
		for _, at := range outerContexts(file) {
			t.Errorf("%s: in a bubble this is the context of the test around it: use that of the bubble's own test, such as w.t.Context()", fset.Position(at))
		}
	})
}

func TestRuleOnBubblesBites(t *testing.T) {
	t.Parallel()
	const source = `package p
func Test(t *testing.T) { inBubble(t, func(w *world) { use(t.Context(), w.t.Context()) }) }
func Test2(t *testing.T) { inBubble(t, func(t *testing.T, w *world) { use(t.Context()) }) }
func Test3(t *testing.T) { synctest.Test(t, func(t *testing.T) { use(t.Context()) }); use(t.Context()) }`
	file, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	if found := outerContexts(file); len(found) != 1 {
		t.Errorf("found %d places, want that of the first test", len(found))
	}
}

// outerContexts returns where a function that a helper runs in a bubble, and that has no test of
// its own, calls t.Context.
func outerContexts(file *ast.File) (at []token.Pos) {
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isBubble(call.Fun) {
			return true
		}
		for _, arg := range call.Args {
			if f, ok := arg.(*ast.FuncLit); ok && !declaresTest(f) {
				at = append(at, callsOfContext(f.Body)...)
			}
		}
		return true
	})
	return at
}

// isBubble reports whether a function is one of the helpers that run their last argument in a
// bubble.
func isBubble(f ast.Expr) bool {
	name, ok := f.(*ast.Ident)
	return ok && (strings.HasPrefix(name.Name, "inBubble") || name.Name == "inFleet")
}

func declaresTest(f *ast.FuncLit) bool {
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			if name.Name == "t" {
				return true
			}
		}
	}
	return false
}

func callsOfContext(body ast.Node) (at []token.Pos) {
	ast.Inspect(body, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Context" {
			if of, ok := s.X.(*ast.Ident); ok && of.Name == "t" {
				at = append(at, s.Pos())
			}
		}
		return true
	})
	return at
}
