package embedded

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

var quiet = slog.New(slog.DiscardHandler)

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func makeDirectory(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

// What cannot be written is refused, whoever the user is: root may write wherever there is
// something to write to.
func TestUnusableDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(dir string) string // and returns the directory
		says  string
	}{
		"a file":              {func(dir string) string { return write(t, dir, "file", "") }, "not a directory"},
		"below a file":        {func(dir string) string { return filepath.Join(write(t, dir, "file", ""), "x") }, "not a directory"},
		"the lock cannot be":  {func(dir string) string { makeDirectory(t, dir, "lock"); return dir }, "is a directory"},
		"the URL cannot be":   {func(dir string) string { makeDirectory(t, dir, urlFile); return dir }, "write down its address"},
		"the store cannot be": {func(dir string) string { write(t, dir, "jetstream", ""); return dir }, "storage directory is not a directory"},
		"long name":           {func(dir string) string { return filepath.Join(dir, strings.Repeat("x", 256)) }, "file name too long"},
		"long path":           {func(dir string) string { return filepath.Join(dir, strings.Repeat("x/", 2000)) }, "may have 3000"},
		"no name":             {func(string) string { return "" }, "has no name"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := c.spoil(t.TempDir())
			s, err := Open(t.Context(), dir, quiet)
			if err == nil {
				_ = s.Close()
				t.Fatalf("%s is served", dir)
			}
			for _, want := range []string{c.says, "--data-dir", dir[:min(len(dir), 32)]} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want it to say %q", err, want)
				}
			}
		})
	}
}

func TestHolderWithoutAnAddressIsNamed(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"none": "", "corrupt": "nats://evil@example.com:4222\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l, err := tryLock(filepath.Join(dir, "lock"))
			if err != nil || l == nil {
				t.Fatal(l, err)
			}
			defer func() { _ = l.release() }()
			if content != "" {
				write(t, dir, urlFile, content)
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errNobody)
			defer cancel()
			_, err = Open(ctx, dir, quiet)
			if !errors.Is(err, errNobody) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "end that process") {
				t.Errorf("%v, want %v for %s", err, errNobody, dir)
			}
		})
	}
}

func TestCorruptAddressIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, urlFile, "\x00\x01garbage")
	s := open(t, dir)
	at, err := readAddress(dir)
	if err != nil || at.String() != s.URL() {
		t.Errorf("%v, %v", at, err)
	}
	if _, err := connect(t, s.URL()).RTT(); err != nil {
		t.Error(err)
	}
}

func TestFullDiskIsNamedAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, said := begin(t, dir, 0)
	for _, want := range []string{dir, "file too large", "the space", "--data-dir"} {
		if !strings.Contains(said, want) {
			t.Errorf("%s; want it to say %q", said, want)
		}
	}
}

// An event that does not fit is refused; what was confirmed is there; and with space again all can
// be published once more.
func TestFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const all = 300
	publish := func() (stored, duplicates int, err error) {
		b, err := natsbus.New(connectTo(t, dir), &natsbus.Options{Provision: &natsbus.Provision{}, PublishTimeout: time.Second, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if _, err := b.Topic(t.Context(), "t", "", bus.Start{}); err != nil {
			t.Fatal(err)
		}
		for ; stored < all; stored++ {
			receipts, err := b.Publish(t.Context(), bus.Event{Topic: "t", ID: strconv.Itoa(stored), Data: bytes.Repeat([]byte("x"), 1000)})
			if err != nil {
				return stored, duplicates, err
			}
			if receipts[0].Duplicate {
				duplicates++
			}
		}
		return stored, duplicates, nil
	}
	full := serve(t, dir, 100<<10)
	first, _, err := publish()
	if first == 0 || err == nil {
		t.Errorf("%d of %d stored, %v; want some, and the next refused", first, all, err)
	}
	full.kill()

	serve(t, dir)
	stored, duplicates, err := publish()
	if err != nil || duplicates < first {
		t.Errorf("with space: %d stored, %d of them before, %v; want all, %d of them before", stored, duplicates, err, first)
	}
	js, err := jetstream.New(connectTo(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), natsbus.StreamName("t"))
	if err != nil || stream.CachedInfo().State.Msgs != all {
		t.Errorf("%d events are in the stream, %v; want %d", stream.CachedInfo().State.Msgs, err, all)
	}
}

// connectTo connects to the server that serves a directory.
func connectTo(t *testing.T, dir string) *nats.Conn {
	t.Helper()
	at, err := readAddress(dir)
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, at.String())
}
