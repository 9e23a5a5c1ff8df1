package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
)

func quick(s *natstest.Server, as string) *Options {
	return &Options{NATS: s.URL(), Events: 1500, Processes: 3, Kills: 3, Seed: 1, Command: []string{os.Args[0], as}}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

// removed checks that nothing is left on the server but the buckets of all groups, and no pause in
// them.
func removed(t *testing.T, s *natstest.Server) {
	t.Helper()
	js, err := jetstream.New(s.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		switch name {
		case "KV_onceish-members":
		case "KV_onceish-groups":
			stream, err := js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if n := stream.CachedInfo().State.Msgs; n > 0 {
				t.Errorf("the stream %s has %d messages", name, n)
			}
		default:
			t.Errorf("the stream %s is left", name)
		}
	}
	if names.Err() != nil {
		t.Error(names.Err())
	}
}

// kept checks the promise, and that the counts fit each other.
func kept(t *testing.T, o *Options, r Result) {
	t.Helper()
	p := newPlan(o.Seed, o.Events, o.Kills)
	if r.Err() != nil || r.Kills != o.Kills || r.Unique != o.Events || r.Published != len(p.messages) || r.Effects != o.Events+r.Repeated {
		t.Errorf("%+v", r)
	}
	if r.Atomic != o.Atomic || !r.Atomic && r.FoundMade > 0 || r.Atomic && r.Repeated > 0 {
		t.Errorf("%+v", r)
	}
	if r.Duplicates < r.Published-r.Unique || r.Failures == 0 || r.Deliveries < r.Published+r.Failures || r.Seconds <= 0 || r.EventsPerSecond <= 0 {
		t.Errorf("%+v", r)
	}
	if o.Kills == 0 && (r.Repeated > 0 || r.Duplicates != r.Published-r.Unique) {
		t.Errorf("nobody was killed: %+v", r)
	}
}

func TestRunKeepsThePromise(t *testing.T) {
	t.Parallel()
	const atomic = testbed.StoreMongo + ", atomic"
	for _, store := range []string{testbed.StoreKV, testbed.StoreMongo, atomic, testbed.StoreMemory} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := natstest.Start(t, nil)
			o := quick(s, "work")
			o.Store = store
			switch store {
			case testbed.StoreMongo:
				o.Mongo = database(t)
			case atomic:
				o.Store, o.Mongo, o.Atomic = testbed.StoreMongo, database(t), true
			case testbed.StoreMemory:
				o.Kills, o.Processes = 0, 0
			}
			var told bytes.Buffer
			o.Output = &told
			r, err := Run(within(t), o)
			if err != nil {
				t.Fatal(err)
			}
			kept(t, o, r)
			removed(t, s)
			if n := strings.Count(told.String(), "killed worker process"); n != o.Kills || !strings.Contains(told.String(), "publishing 1,500 events as ") {
				t.Errorf("told:\n%s", &told)
			}
			var table strings.Builder
			if err := r.Report(&table); err != nil || !strings.Contains(table.String(), "\nNothing lost") {
				t.Errorf("%v:\n%s", err, &table)
			}
		})
	}
}

// database is the URI of one in which the demo leaves nothing.
func database(t *testing.T) string {
	t.Helper()
	db := mongotest.Database(t)
	t.Cleanup(func() {
		names, err := db.ListCollectionNames(context.Background(), bson.D{})
		if err != nil || len(names) > 0 {
			t.Errorf("the collections %q are left (%v)", names, err)
		}
	})
	uri, options, _ := strings.Cut(mongotest.URI(t), "?")
	scheme, hosts, _ := strings.Cut(uri, "://")
	hosts, _, _ = strings.Cut(hosts, "/")
	if options != "" {
		options = "?" + options
	}
	return scheme + "://" + hosts + "/" + db.Name() + options
}

// What breaks the promise is seen.
func TestRunSeesWhatIsBroken(t *testing.T) {
	t.Parallel()
	for as, wrong := range map[string]func(Result) bool{
		"hasty":     func(r Result) bool { return r.Lost > 0 },
		"forgetful": func(r Result) bool { return r.RepeatedUnexplained > 0 && r.Lost == 0 },
	} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			s := natstest.Start(t, nil)
			r, err := Run(within(t), quick(s, as))
			if err != nil || !wrong(r) || !errors.Is(r.Err(), ErrBroken) || worker.ExitStatus(r.Err()) != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			var table strings.Builder
			if err := r.Report(&table); err != nil || !strings.Contains(table.String(), "\nBROKEN: ") {
				t.Errorf("%v:\n%s", err, &table)
			}
			removed(t, s)
		})
	}
}

// A consumer that forgets its marks repeats no change that carries its own.
func TestAtomicEffectsNeedNoOtherMark(t *testing.T) {
	t.Parallel()
	for as, wrong := range map[string]func(Result) bool{
		"forgetful": func(r Result) bool {
			return r.Err() != nil || r.Repeated != 0 || r.Effects != r.Unique || r.FoundMade == 0
		},
		"unmarked": func(r Result) bool {
			return !errors.Is(r.Err(), ErrBroken) || r.Repeated == 0 || r.RepeatedUnexplained != r.Repeated || r.Effects != r.Unique+r.Repeated
		},
		"hasty": func(r Result) bool { return !errors.Is(r.Err(), ErrBroken) || r.Lost == 0 || r.Repeated != 0 },
	} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			s := natstest.Start(t, nil)
			o := quick(s, as)
			o.Store, o.Mongo, o.Atomic = testbed.StoreMongo, database(t), true
			if r, err := Run(within(t), o); err != nil || wrong(r) || !r.Atomic {
				t.Errorf("%+v, %v", r, err)
			}
			removed(t, s)
		})
	}
}

func TestRunGivesUpOnWorkersThatDoNothing(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	o := quick(s, "lazy")
	o.Events, o.Kills, o.patience = 50, 0, 500*time.Millisecond
	r, err := Run(within(t), o)
	if !errors.Is(err, ErrStalled) || !strings.Contains(err.Error(), "50 of 50 events have no effect, such as order-1, ") || r.Lost != 50 {
		t.Errorf("%+v, %v", r, err)
	}
	removed(t, s)
}

func TestRunTellsWhyAWorkerEnded(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	r, err := Run(within(t), quick(s, "clumsy"))
	if err == nil || !strings.Contains(err.Error(), "has ended by itself: exit status 1") || !strings.Contains(err.Error(), "stumbled") || r != (Result{}) {
		t.Errorf("%+v, %v", r, err)
	}
	removed(t, s)
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	ctx, cancel := context.WithCancelCause(within(t))
	o := quick(s, "work")
	o.Events, o.Output = 100_000, writer(func(text []byte) {
		if bytes.Contains(text, []byte("killed")) {
			cancel(errEnough)
		}
	})
	r, err := Run(ctx, o)
	if !errors.Is(err, errEnough) || r != (Result{}) {
		t.Errorf("%+v, %v", r, err)
	}
	removed(t, s)
}

var errEnough = errors.New("enough")

type writer func([]byte)

func (w writer) Write(text []byte) (int, error) {
	w(text)
	return len(text), nil
}

func TestRunTellsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	o := quick(s, "work")
	o.NATS = "nats://user:hunter2@127.0.0.1:1"
	if _, err := Run(within(t), o); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "connect to NATS at nats://***@127.0.0.1:1") {
		t.Errorf("%v", err)
	}
	o = quick(s, "work")
	for uri, want := range map[string]string{
		"mongodb://u:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=50": "connect to MongoDB at mongodb://***@127.0.0.1:1",
		"mongodb://u:hun@ter2@127.0.0.1:1/":                            "cannot be read",
	} {
		o.Store, o.Mongo = testbed.StoreMongo, uri
		if _, err := Run(within(t), o); err == nil || strings.Contains(err.Error(), "ter2") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
	removed(t, s)
}

func TestWorkWantsAnAssignment(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", "{}", "no JSON\n", `{"name":"a b"}` + "\n"} {
		if err := Work(t.Context(), strings.NewReader(in), &bytes.Buffer{}); err == nil {
			t.Errorf("%q will do", in)
		}
	}
}
