package folder_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onceish/onceish/schema"
	"github.com/onceish/onceish/schema/folder"
	"github.com/onceish/onceish/schema/schematest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	schematest.Run(t, schematest.Harness{New: func(t *testing.T) schema.Store {
		s, err := folder.New(filepath.Join(t.TempDir(), "[a] *"), &folder.Options{Make: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
}

// A folder that is not mounted must not look like one without schemas: all events would pass.
func TestMissingFolderIsAnError(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "schemas")
	if _, err := folder.New(dir, nil); !errors.Is(err, folder.ErrNoFolder) || !strings.Contains(err.Error(), dir) {
		t.Errorf("New: %v", err)
	}
	s, err := folder.New(dir, &folder.Options{Make: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Versions(t.Context(), schema.Subject{Topic: "a"}, 0); !errors.Is(err, folder.ErrNoFolder) {
		t.Errorf("Versions: %v", err)
	}
	if _, err := s.Subjects(t.Context()); !errors.Is(err, folder.ErrNoFolder) {
		t.Errorf("Subjects: %v", err)
	}
}

// What people write into the folder counts, and what is wrong with it is named.
func TestFilesWrittenByHand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"topic":"a","version":1,"compatibility":"backward","schema":{"type":"object"}}`: "",
		`{"topic":"b","version":1,"compatibility":"backward","schema":{}}`:                "says that it is version 1 of b",
		`{"topic":"a","version":2,"compatibility":"backward","schema":{}}`:                "says that it is version 2 of a",
		`{"topic":"a","version":1,"compatibility":"sideways","schema":{}}`:                "sideways",
		`{"topic":"a","version":1,"compatibility":"none"}`:                                "no schema",
		`<<<<<<< HEAD`: "invalid character",
	} {
		dir := t.TempDir()
		s, err := folder.New(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "a", "a", "1.json")
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Versions(t.Context(), schema.Subject{Topic: "a"}, 0)
		switch {
		case want == "" && (err != nil || len(got) != 1):
			t.Errorf("%s: %+v, %v", text, got, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name)):
			t.Errorf("%s: %v, want %q and the file", text, err, want)
		}
	}
}
