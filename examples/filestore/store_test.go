package filestore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/dedupe/dedupetest"
	"github.com/onceish/onceish/examples/filestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The suite finds, among others, the store that keeps an expired row in the way of a new mark.
func TestConformance(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, dedupetest.Harness{
		Run: synctest.Test, // time passes at once
		New: func(t *testing.T) dedupetest.Subject {
			return dedupetest.Subject{Store: open(t, filepath.Join(t.TempDir(), "marks"))}
		},
	})
}

var key = dedupe.Key{Topic: "order.placed", Group: "billing", ID: "1"}

func TestMarksOutliveTheProcess(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "marks")
	store := open(t, name)
	mark(t, store, dedupe.Done)
	mark(t, store, dedupe.Dead)
	if _, err := filestore.Open(name); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("two at once: %v", err)
	}
	_ = store.Close()
	is(t, open(t, name), dedupe.Dead)
}

// A crash may leave any part of what was written last.
func TestACrashLeavesHalfALine(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "marks")
	store := open(t, name)
	mark(t, store, dedupe.Done)
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	mark(t, store, dedupe.Dead)
	after, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(before); n < len(after); n++ {
		torn := filepath.Join(t.TempDir(), "marks")
		if err := os.WriteFile(torn, after[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		store := open(t, torn)
		is(t, store, dedupe.Done)
		mark(t, store, dedupe.Dead)
		_ = store.Close()
		is(t, open(t, torn), dedupe.Dead)
	}
}

// What is no row is nobody's to drop: its mark would be forgotten in silence.
func TestABrokenFileIsRefused(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "marks")
	store := open(t, name)
	mark(t, store, dedupe.Done)
	_ = store.Close()
	data, _ := os.ReadFile(name)
	if err := os.WriteFile(name, bytes.Replace(data, []byte(`"key"`), []byte(`"key`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := filestore.Open(name); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("opened: %v", err)
	}
}

func open(t *testing.T, name string) *filestore.Store {
	t.Helper()
	store, err := filestore.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func mark(t *testing.T, store *filestore.Store, state dedupe.State) {
	t.Helper()
	if _, err := store.Mark(t.Context(), []dedupe.Mark{{Key: key, State: state, TTL: time.Hour}}); err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, store *filestore.Store, want dedupe.State) {
	t.Helper()
	records, err := store.Seen(t.Context(), []dedupe.Key{key})
	if err != nil || records[0].State != want {
		t.Errorf("%v, %v, want %v", records, err, want)
	}
}
