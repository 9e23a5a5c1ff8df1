package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/mongotest"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// Scripts with a database of their own.
func TestOutboxScripts(t *testing.T) {
	t.Parallel()
	mongotest.URI(t) // or it is skipped here: a script's setup cannot be
	testscript.Run(t, testscript.Params{
		Dir: "testdata/outbox",
		Setup: func(e *testscript.Env) error {
			e.Setenv("ONCEISH_DATA_DIR", filepath.Join(e.WorkDir, "data"))
			e.Setenv("LC_ALL", "C")
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("MONGODB_URI", database(t))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status, "countLines": countLines, "addRow": addRow},
	})
}

// addRow adds a row: addRow ID TOPIC KEY BYTES-OF-DATA.
func addRow(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.Atoi(args[3])
	ts.Check(err)
	ts.Check(addAlone(ts.Getenv("MONGODB_URI"), bus.Event{
		ID: args[0], Topic: args[1], Key: args[2], ContentType: "text/plain", Data: []byte(strings.Repeat("x", size)), Headers: bus.Headers{"Tenant": {"a\x1bb"}},
	}))
}

func addAlone(uri string, events ...bus.Event) error {
	ctx := context.Background()
	at, err := connstring.Parse(uri)
	if err != nil {
		return err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(ctx) }()
	q, err := mongooutbox.New(ctx, client.Database(at.Database).Collection("outbox"), nil)
	if err != nil {
		return err
	}
	_, err = q.AddAlone(ctx, events...)
	return err
}

// Help names no flag that the command does not have.
func TestHelpOfRepublishNamesItsOwnFlags(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{"republish": false, "drop": true, "retry": true} {
		var out strings.Builder
		args := []string{"worker", "outbox", command, "--help"}
		if code := execArgs(t.Context(), args, strings.NewReader(""), &out, &out); code != 0 {
			t.Fatalf("exit status %d: %s", code, &out)
		}
		if got := strings.Contains(out.String(), "named by --id"); got != want {
			t.Errorf("%s: %v; want %v\n%s", command, got, want, &out)
		}
	}
}

func TestVisibleTextObeysNothing(t *testing.T) {
	t.Parallel()
	if got := visibleText("a\x1b[2J\n\u202eb\u009bü"); got != "a\ufffd[2J\ufffd\ufffdb\ufffdü" {
		t.Errorf("%q", got)
	}
}

// Data is shown on a terminal as text only if the terminal obeys none of it: C1 controls and marks
// of direction are as good as escapes.
func TestShownDataObeysNothing(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"\x1b[2J", "a\x7f", "\u009b31mred\u009b0m", "\u0090q", "abc\u202egnp.exe", "\u2066x", "\u200fx", "a\u2028b"} {
		if shown := shownData([]byte(data), true); strings.Contains(shown, data) {
			t.Errorf("a terminal is given %q as it is", data)
		}
		if shown := shownData([]byte(data), false); shown != "\n"+data+"\n" {
			t.Errorf("a pipe is given %q for %q", shown, data)
		}
		var out strings.Builder
		if err := printJSON(&out, []string{data}); err != nil || strings.ContainsFunc(strings.TrimSuffix(out.String(), "\n"), isTerminalControl) {
			t.Errorf("JSON: %q, %v", &out, err)
		}
		var back []string
		if err := json.Unmarshal([]byte(out.String()), &back); err != nil || back[0] != data {
			t.Errorf("%q is read as %q, %v", data, back, err)
		}
	}
	for _, data := range []string{"línea\n\ttab", "می\u200cخواهم", "👩\u200d🚀"} {
		if shown := shownData([]byte(data), true); shown != "\n"+data+"\n" {
			t.Errorf("%q is shown as %q", data, shown)
		}
	}
}

// What is asked on a terminal is not asked in pipes: no command may wait there for ever.
func TestNobodyIsAskedInPipes(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	var stderr strings.Builder
	for _, args := range [][]string{{"drop", "--topic", ">"}, {"retry", "--topic", ">"}, {"republish", "--from", "1h"}} {
		stderr.Reset()
		args = append([]string{"worker", "outbox"}, append(args, "--mongo", "mongodb://nowhere.invalid")...)
		if code := execArgs(t.Context(), args, r, &strings.Builder{}, &stderr); code != 2 || !strings.Contains(stderr.String(), "add --yes, for there is nobody to be asked") {
			t.Errorf("%v: exit status %d, %s", args, code, &stderr)
		}
	}
}
