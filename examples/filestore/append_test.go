package filestore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// After a write that failed nothing may follow on what is left of it.
func TestAFailedWriteIsTheLast(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "marks")
	store, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	_ = store.file.Close()
	if store.file, err = os.Open(name); err != nil { // it cannot be written
		t.Fatal(err)
	}
	marks := []dedupe.Mark{{Key: dedupe.Key{ID: "1"}, State: dedupe.Done, TTL: time.Hour}}
	if _, err := store.Mark(t.Context(), marks); err == nil {
		t.Error("marked, and nothing was written")
	}
	if _, err := store.Mark(t.Context(), marks); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v, want %v", err, os.ErrClosed)
	}
	records, err := store.Seen(t.Context(), []dedupe.Key{{ID: "1"}})
	if err != nil || records[0].State != dedupe.Fresh {
		t.Errorf("%v, %v: seen without being on the disk", records, err)
	}
}
