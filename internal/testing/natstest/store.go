package natstest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func copyStore(t testing.TB, store string) string {
	t.Helper()
	for range 20 {
		to := filepath.Join(t.TempDir(), "copy")
		err := os.CopyFS(to, os.DirFS(store))
		if err == nil {
			return to
		}
		if !errors.Is(err, fs.ErrNotExist) { // a file that the server has replaced meanwhile
			t.Fatalf("natstest: copy the store: %v", err)
		}
	}
	t.Fatal("natstest: the store changes faster than it can be copied")
	return ""
}

func restoreStore(t testing.TB, store, from string) {
	t.Helper()
	err := os.RemoveAll(store)
	if err == nil {
		err = os.CopyFS(store, os.DirFS(from))
	}
	if err != nil {
		t.Fatalf("natstest: restore the store: %v", err)
	}
}
