package main

import (
	"strings"
	"testing"
)

func TestExec(t *testing.T) {
	const (
		pass = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
`
		skip = `{"Action":"output","Package":"p","Test":"TestB","Output":"    b.go:1: needs a thing\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
`
		fail = `{"Action":"output","Package":"p","Test":"TestC","Output":"    c.go:1: no\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"--- FAIL: TestC\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
`
		unfinished = `{"Action":"output","Package":"p","Test":"TestD","Output":"panic: no\n"}
`
		ok = `{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`
		failed = `{"Action":"output","Package":"p","Output":"-test.shuffle 1\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`
		build = `{"ImportPath":"p","Action":"build-output","Output":"x.go:1: undefined: y\n"}
{"ImportPath":"p","Action":"build-fail"}
`
		none = `{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}
{"Action":"skip","Package":"q"}
`
	)
	for name, c := range map[string]struct{ in, out, err string }{
		"passed":             {in: pass + ok + none, out: "ok  \tp\t0.1s\n?   \tq\t[no test files]\n"},
		"failed":             {in: pass + fail + failed, out: "    c.go:1: no\n--- FAIL: TestC\n-test.shuffle 1\nFAIL\tp\t0.1s\n", err: "failed: p"},
		"panicked":           {in: unfinished + failed, out: "panic: no\n-test.shuffle 1\nFAIL\tp\t0.1s\n", err: "failed: p"},
		"not built":          {in: build + failed, out: "x.go:1: undefined: y\n-test.shuffle 1\nFAIL\tp\t0.1s\n", err: "failed: p"},
		"skipped":            {in: skip + ok, out: "ok  \tp\t0.1s\n", err: "p TestB\n    b.go:1: needs a thing"},
		"skipped, allowed":   {in: strings.ReplaceAll(skip, "a thing", "the moon") + ok, out: "ok  \tp\t0.1s\n"},
		"no event":           {in: "go: no such module\n" + ok, out: "go: no such module\nok  \tp\t0.1s\n"},
		"no closing newline": {in: strings.TrimSuffix(ok, "\n"), out: "ok  \tp\t0.1s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := exec(strings.NewReader(c.in), &out, []string{"the moon"})
			if out.String() != c.out {
				t.Errorf("printed %q, want %q", out.String(), c.out)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}
