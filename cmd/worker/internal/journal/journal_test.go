package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReaderSkipsWhatIsTorn(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "journal")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	r := NewReader(in)
	b := NewTally([]string{"order-1", "order-2", "order-3", "order-4"})
	for _, step := range []struct {
		text string
		done int
	}{
		{"effect order-1 7 1000\neffect order-2 ", 1}, // torn, by a kill
		{"effect order-3 8 1001\n", 2},                // appended to it by another process
		{"effect order-2 8 10", 2},                    // torn as well, though it looks complete
		{"effect order-4 9 1002\n\nnoise\neffect  1 1\neffect order-2 -1 1\neffect order-2 1 x\n", 3},
		{"effect order-2 9 1003\neffect order-1", 4}, // the torn last line
	} {
		if _, err := f.WriteString(step.text); err != nil {
			t.Fatal(err)
		}
		rs, err := r.ReadNew()
		b.Add(rs)
		if err != nil || b.Done != step.done || b.Effects != step.done {
			t.Errorf("after %q: %d events done by %d effects, %v, want %d", step.text, b.Done, b.Effects, err, step.done)
		}
	}
	if names := b.Missing([]string{"order-1", "order-5", "order-6"}, 1); len(names) != 1 || names[0] != "order-5" {
		t.Errorf("%q are missing", names)
	}
}

func TestJournalIsWrittenByOneWrite(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "journal")
	if _, err := OpenWriter(name); err == nil {
		t.Error("a journal was made that nobody reads")
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := OpenWriter(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	before := time.Now()
	if err := j.Write(Effect, "order-1"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	r, ok := parseRecord(strings.TrimSuffix(string(text), "\n"))
	if err != nil || !ok || r.PID != os.Getpid() || r.At.Before(before.Round(0)) || r.At.After(time.Now().Round(0)) {
		t.Errorf("%q was read as %+v (%v)", text, r, err)
	}
}

// What was written is read, whatever was torn before it.
func FuzzParseRecord(f *testing.F) {
	f.Add("effect order-1 ", 0, "order-2", 12, int64(1_700_000_000_000_000_000))
	f.Add("effect order-1 7 100", 3, "-", 1, int64(1))
	f.Add("effect failed effect ", 1, "a", 2, int64(3))
	f.Fuzz(func(t *testing.T, torn string, what int, id string, pid int, ns int64) {
		if _, ok := parseRecord(torn); ok && !strings.Contains(torn, " ") {
			t.Errorf("%q is a record", torn)
		}
		if id == "" || strings.ContainsAny(id, " \n") || pid < 1 || ns < 1 || what < 0 {
			return
		}
		want := Record{What: recordKinds[what%len(recordKinds)], ID: id, PID: pid, At: time.Unix(0, ns), Key: "key-1", Attempt: 3}
		got, ok := parseRecord(torn + strings.TrimSuffix(want.String(), "\n"))
		if !ok || got.What != want.What || got.ID != want.ID || got.PID != want.PID || !got.At.Equal(want.At) {
			t.Errorf("%q + %q was read as %+v, %v", torn, want, got, ok)
		}
	})
}
