package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// ownWorkers writes a file of workers whose command is given, with a few more lines at its top.
func (h *house) ownWorkers(command, top string) {
	h.t.Helper()
	text := fmt.Sprintf("group: billing\n%ssubscriptions:\n  - topic: order.placed\n    lease: 1s\n    ack_wait: 1s\n    backoff: {base: 50ms, max: 500ms}\n    handler:\n      exec: %q\n",
		top, command)
	if err := os.WriteFile(h.path("worker.yaml"), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

const (
	ownChaos    = "chaos -c worker.yaml --journal effects --duration 3s"
	writeEffect = `echo "$CE_ID" >> "$ONCEISH_CHAOS_JOURNAL"`
)

// ownVerdict is what chaos finds about a file.
type ownVerdict struct {
	Events, Published, Effects, Repeated, Lost int
	RepeatedAfterFailure                       int `json:"repeated_after_failure"`
	DeadLetters                                int `json:"dead_letters"`
	Artifacts                                  string
	Violations                                 []struct{ Kind, Text string }
	Kinds                                      []struct{ Injected, Hits int }
}

func (h *house) judgeOwn(status int, flags string) (v ownVerdict) {
	h.t.Helper()
	out := h.output(status, strings.Fields(ownChaos+" -q -o json "+flags)...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	if v.Artifacts != "" {
		h.t.Cleanup(func() { _ = os.RemoveAll(v.Artifacts) })
	}
	return v
}

// A right handler passes, wherever its marks are, and nothing is left of the run.
func TestChaosPassesAHandlerThatIsRight(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"kv", "mongo"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			h, top := newHouse(t), ""
			if store == "mongo" {
				db := mongotest.Database(t)
				top = fmt.Sprintf("mongo: {uri: %q}\n", "mongodb://"+mongoHosts(t)+"/"+db.Name()+"?directConnection=true")
				t.Cleanup(func() {
					if names, err := db.ListCollectionNames(t.Context(), bson.D{}); err == nil && len(names) > 0 {
						t.Errorf("the collections %q are left", names)
					}
				})
			}
			h.ownWorkers(writeEffect, top)
			v := h.judgeOwn(0, "--seed 3 --rate 40")
			if v.Events != 120 || v.Published < v.Events || v.Lost != 0 || v.Effects-v.Repeated != v.Events || len(v.Violations) > 0 {
				t.Errorf("%+v", v)
			}
			lines := strings.Fields(h.wait("effects"))
			slices.Sort(lines)
			if len(lines) != v.Effects || len(slices.Compact(lines)) != v.Events {
				t.Errorf("%d effects were counted of %d", v.Effects, len(lines))
			}
		})
	}
}

func mongoHosts(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(mongotest.URI(t), "://")
	hosts, _, _ := strings.Cut(rest, "?")
	hosts, _, _ = strings.Cut(hosts, "/")
	return hosts
}

// A handler that is wrong is found, and one that repeats its own effects is not taken for it.
func TestChaosFindsWhatIsWrongInAHandler(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ command, kind, text string }{
		"twice":   {writeEffect + `; case "$CE_ID" in *7) ` + writeEffect + `;; esac`, "repeated", "with more effects than runs"},
		"none":    {`case "$CE_ID" in *7) ;; *) ` + writeEffect + `;; esac`, "lost", "though the handler reported success"},
		"fails":   {writeEffect + `; case "$CE_ID$ATTEMPT" in *71) exit 1;; esac`, "", ""},
		"rejects": {`case "$CE_ID" in *7) exit 65;; *) ` + writeEffect + `;; esac`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, status := newHouse(t), 0
			h.ownWorkers(c.command, "")
			if c.kind != "" {
				status = 1
			}
			v := h.judgeOwn(status, "--faults drain")
			if c.kind != "" && (len(v.Violations) != 1 || v.Violations[0].Kind != c.kind || !strings.Contains(v.Violations[0].Text, c.text)) {
				t.Errorf("%+v", v)
			}
			if name == "fails" && v.RepeatedAfterFailure == 0 || name == "rejects" && v.DeadLetters != 6 {
				t.Errorf("%+v", v)
			}
		})
	}
}

// On a server of the user's, chaos works beside what is there, and leaves nothing but the buckets
// that all groups share.
func TestInterruptedChaosOfAFileLeavesNothing(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	h := newHouse(t)
	h.ownWorkers(writeEffect+"; sleep 60", "")
	f := h.family("chaos", "--nats "+s.URL()+" -c "+h.path("worker.yaml")+" --journal "+h.path("effects")+" --duration 10m --faults freeze")
	f.says(": freeze worker")
	h.wait("effects")
	f.signal(syscall.SIGINT)
	f.exits(1)
	f.says("worker: interrupted")
	f.dies()
	js, err := jetstream.New(s.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	streams := js.StreamNames(t.Context())
	for name := range streams.Name() {
		if !strings.HasPrefix(name, "KV_onceish-members") && !strings.HasPrefix(name, "KV_onceish-groups") {
			t.Errorf("the stream %s is left", name)
		}
	}
	if streams.Err() != nil {
		t.Error(streams.Err())
	}
}

// Commands end with the workers that have started them, however these end.
func TestKilledChaosOfAFileLeavesNoCommand(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ownWorkers(writeEffect+"; sleep 60", "")
	f := h.family("chaos", "-c "+h.path("worker.yaml")+" --journal "+h.path("effects")+" --duration 10m --faults kill")
	f.says(": kill worker")
	h.wait("effects")
	f.kill()
	f.dies()
}

// What chaos has not made it does not touch.
func TestChaosRefusesAServerThatHasTheTopic(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	js, err := jetstream.New(s.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "orders", Subjects: []string{"order.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "order.placed", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	h.ownWorkers(writeEffect, "")
	var stderr strings.Builder
	args := []string{"worker", "chaos", "-c", h.path("worker.yaml"), "--nats", s.URL(), "-q"}
	if status := execArgs(t.Context(), args, strings.NewReader(""), io.Discard, &stderr); status != 2 || !strings.Contains(stderr.String(), "the stream orders, which ") {
		t.Errorf("exit status %d: %s", status, &stderr)
	}
	stream, err := js.Stream(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	if state := stream.CachedInfo().State; state.Msgs != 1 || state.Consumers != 0 {
		t.Errorf("%+v", state)
	}
}

func TestChaosSaysWhatIsWrongWithAFile(t *testing.T) {
	for flags, c := range map[string]struct{ file, want string }{
		"-c FILE":                    {"group: g\nsubscriptions:\n  - topic: t\n    leese: 1s\n", `worker.yaml:4:5: subscriptions[0].leese: `},
		"-c FILE --data {{.Name}}":   {"", "--data, template 1: "},
		"-c FILE --data @none":       {"", "--data: open none"},
		"-c FILE --store kv":         {"", "--store does not go with -c"},
		"-c FILE --lease 1s":         {"", "--lease does not go with -c"},
		"-c FILE --topic order.paid": {"", `no subscription in `},
		"-c FILE --topic order.>":    {"", "--topic: "},
		"-c FILE --faults mongo":     {"", "the fault mongo needs the store mongo"},
		"-c none.yaml":               {"", "-c: open none.yaml"},
		"--journal effects":          {"", "name their file with -c"},
		"-c FILE --duration 30s":     {"group: g\nsubscriptions:\n  - topic: t\n    handler: {log: {}}\n", "set lease and ack_wait of its subscriptions to a few seconds"},
		"-c FILE --rate 1":           {"group: g\nsubscriptions:\n  - topic: t.>\n    lease: 1s\n    handler: {log: {}}\n", `the pattern "t.>": say with --topic what to publish to`},
		"-c FILE --keys 1":           {"group: g\nsubscriptions:\n  - topic: t\n    lease: 1s\n    id: order.id\n    handler: {log: {}}\n", `--data '{"order": {"id": "{{.ID}}"}}'`},
		"-c FILE --rate 2": {
			"group: g\nprovision:\n  streams:\n    - {name: ts, subjects: [t], storage: memory}\nsubscriptions:\n  - topic: t\n    lease: 1s\n    handler: {log: {}}\n",
			"the stream ts is kept in memory",
		},
	} {
		t.Run(flags, func(t *testing.T) {
			t.Setenv("MONGODB_URI", "")
			h := newHouse(t)
			h.ownWorkers(writeEffect, "")
			if c.file != "" {
				if err := os.WriteFile(h.path("worker.yaml"), []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var stderr strings.Builder
			args := append([]string{"worker", "chaos"}, strings.Fields(strings.ReplaceAll(flags, "FILE", h.path("worker.yaml")))...)
			if status := execArgs(t.Context(), args, strings.NewReader(""), io.Discard, &stderr); status != 2 || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("exit status %d, want %q:\n%s", status, c.want, &stderr)
			}
		})
	}
}
