package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
)

// soon is longer than anything takes that ends.
const soon = 5 * time.Minute

func quick(t *testing.T, as string, faults ...string) *Options {
	t.Helper()
	return &Options{
		parent:   t.TempDir(),
		Duration: 3 * time.Second, Lease: time.Second, Rate: 150, Duplicates: 0.2, Seed: 1, Faults: faults,
		Command: []string{os.Args[0], as}, Server: []string{os.Args[0], "serve"},
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

func isEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// kept checks the promise, and that the counts fit each other.
func kept(t *testing.T, o *Options, r *Result) {
	t.Helper()
	var text strings.Builder
	if err := r.Report(&text); err != nil || r.Err() != nil || !strings.Contains(text.String(), "\nNothing lost") {
		t.Errorf("%v:\n%s", err, &text)
	}
	if r.Events != o.events() || r.Published < r.Events || r.Lost != 0 || r.DeadLetters != r.DeadLettersMeant || r.Effects != r.Events-r.DeadLetters+r.Repeated {
		t.Errorf("%+v", r)
	}
	if r.Runs < r.Effects+r.Failures || r.RepeatedUnexplained != 0 || len(r.Stories) > 0 || r.Artifacts != "" {
		t.Errorf("%+v", r)
	}
	injected := 0
	for i, k := range r.Kinds {
		injected += k.Injected
		if k.Injected == 0 || k.Hits > k.Injected || k.Kind != o.Faults[i] {
			t.Errorf("%+v", k)
		}
	}
	if injected != len(r.Faults) {
		t.Errorf("%d faults are of known kinds, of %d", injected, len(r.Faults))
	}
}

func TestRunKeepsThePromise(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *Options){
		"kv":          func(*testing.T, *Options) {},
		"partitions":  func(_ *testing.T, o *Options) { o.Order = consumer.Partitions(4) },
		"exclusive":   func(_ *testing.T, o *Options) { o.Order = consumer.Exclusive },
		"mongo":       func(t *testing.T, o *Options) { o.Store, o.Mongo = testbed.StoreMongo, database(t) },
		"NATS of its": func(t *testing.T, o *Options) { o.NATS = natsURL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := quick(t, "work")
			change(t, o)
			var said bytes.Buffer
			o.Output, o.Duration = &said, 5*time.Second
			o = withAllFaults(t, o)
			r, err := Run(within(t), o)
			if err != nil {
				t.Fatal(err)
			}
			kept(t, o, &r)
			isEmpty(t, o.parent)
			if lines := strings.Count(said.String(), " in flight\n"); lines != len(r.Faults) {
				t.Errorf("%d faults were reported, of %d:\n%s", lines, len(r.Faults), &said)
			}
		})
	}
}

// withAllFaults chooses the first seed with which all kinds of faults happen.
func withAllFaults(t *testing.T, o *Options) *Options {
	t.Helper()
	c, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; c.Seed++ {
		happen := make(map[string]bool)
		for _, f := range newSchedule(c) {
			happen[f.Kind] = true
		}
		if len(happen) == len(c.Faults) {
			return c
		}
	}
}

// natsURL is that of a server on which nothing may be left but the buckets of all groups.
func natsURL(t *testing.T) string {
	t.Helper()
	s := natstest.Start(t, nil)
	js, err := jetstream.New(s.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		names := js.StreamNames(context.Background())
		for name := range names.Name() {
			if !slices.Contains([]string{"KV_onceish-members", "KV_onceish-groups"}, name) {
				t.Errorf("the stream %s is left", name)
			}
		}
		if names.Err() != nil {
			t.Error(names.Err())
		}
	})
	return s.URL()
}

// database is the URI of one in which nothing may be left.
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

// What breaks the promise is found, named, and its story told.
func TestRunFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for as, c := range map[string]struct {
		faults []string
		kind   string
		seed   uint64
		text   string // of one of the violations
		order  consumer.Order
	}{
		"hasty":      {[]string{KindKill}, ViolationLost, 11, "", consumer.ByKey},
		"forgetful":  {[]string{KindKill}, ViolationRepeated, 12, "", consumer.ByKey},
		"amnesiac":   {[]string{KindDrain}, ViolationRepeated, 13, "began again though marked", consumer.ByKey},
		"disorderly": {[]string{KindFreeze}, ViolationOrder, 14, "", consumer.ByKey},
		"overtaking": {[]string{KindConsumer}, ViolationOrder, 17, "was delivered to the same process before", consumer.ByKey},
		"selfish":    {[]string{KindConsumer}, ViolationOrder, 19, "while another process ran one of the key", consumer.Exclusive},
		"sleepy":     {[]string{KindConsumer}, ViolationIdle, 18, "", consumer.ByKey},
		"impatient":  {[]string{KindConsumer}, ViolationDead, 15, "", consumer.ByKey},
		"clumsy":     {[]string{KindConsumer}, ViolationEnded, 16, "", consumer.ByKey},
	} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			o := quick(t, as, c.faults...)
			o.Seed, o.patience, o.Processes, o.Order = c.seed, 15*time.Second, 2, c.order
			if c.kind == ViolationOrder {
				o.Keys = 10 // more events of a key are under way at once
			}
			r, err := Run(within(t), o)
			if err != nil {
				t.Fatal(err)
			}
			found(t, c.kind, &r)
			if !slices.ContainsFunc(r.Violations, func(v Violation) bool { return strings.Contains(v.Text, c.text) }) {
				t.Errorf("no violation says %q: %+v", c.text, r.Violations)
			}
		})
	}
}

func found(t *testing.T, kind string, r *Result) {
	t.Helper()
	var text strings.Builder
	if err := r.Report(&text); err != nil || !errors.Is(r.Err(), ErrViolation) || worker.ExitStatus(r.Err()) != 1 {
		t.Errorf("%v, %v:\n%s", err, r.Err(), &text)
	}
	i := slices.IndexFunc(r.Violations, func(v Violation) bool { return v.Kind == kind })
	if i < 0 {
		t.Fatalf("no violation %q:\n%s", kind, &text)
	}
	if events := r.Violations[i].Events; len(events) > 0 && !strings.Contains(strings.Join(r.Stories, "\n"), events[0]+", seconds") {
		t.Errorf("the story of %s is not told:\n%s", events[0], &text)
	}
	for _, want := range []string{"BROKEN: " + r.Violations[0].Text, "Replay: worker chaos --seed ", r.Artifacts} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, &text)
		}
	}
	for _, name := range []string{"journal", "log", "nats"} {
		if _, err := os.Stat(filepath.Join(r.Artifacts, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestRunGivesUpOnWorkersThatDoNothing(t *testing.T) {
	t.Parallel()
	o := quick(t, "lazy", KindConsumer)
	o.Duration, o.patience, o.Processes = 2*time.Second, time.Second, 1
	r, err := Run(within(t), o)
	if err != nil || len(r.Violations) == 0 || r.Violations[0].Kind != ViolationStalled || !strings.Contains(r.Violations[0].Text, "events without an effect are event-1, ") {
		t.Errorf("%+v, %v", r.Violations, err)
	}
	if !slices.Equal(r.Inconclusive, []string{KindConsumer}) {
		t.Errorf("inconclusive are %q", r.Inconclusive)
	}
}

func TestRunEndsWithItsContextAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for when, fault := range map[string]string{"kill NATS": KindRestart, "freeze worker": KindFreeze} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(within(t))
			o := quick(t, "work", fault)
			o.Processes, o.Duration, o.Output = 2, time.Minute, writer(func(text []byte) {
				if bytes.Contains(text, []byte(when)) {
					cancel(errEnough)
				}
			})
			if r, err := Run(ctx, o); !errors.Is(err, errEnough) || r.Events != 0 {
				t.Errorf("%+v, %v", r, err)
			}
			isEmpty(t, o.parent)
		})
	}
}

var errEnough = errors.New("enough")

type writer func([]byte)

func (w writer) Write(text []byte) (int, error) {
	w(text)
	return len(text), nil
}

func TestRunTellsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	o := quick(t, "work", KindKill)
	o.NATS = "nats://user:hunter2@127.0.0.1:1"
	if _, err := Run(within(t), o); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "connect to NATS at nats://***@127.0.0.1:1") {
		t.Errorf("%v", err)
	}
	o = quick(t, "work", KindKill)
	o.Command = []string{filepath.Join(o.parent, "nothing")}
	if _, err := Run(within(t), o); err == nil || !strings.Contains(err.Error(), "start a worker process") {
		t.Errorf("%v", err)
	}
	isEmpty(t, o.parent)
}

// Who interrupts it is told what could not be removed.
func TestWhatCannotBeRemovedIsReported(t *testing.T) {
	t.Parallel()
	o := quick(t, "work", KindKill)
	o.NATS = natstest.Start(t, nil).URL()
	c, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLab(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	l.connections.NATS().Close()
	if err := l.close(within(t)); !errors.Is(err, ErrLeft) || !strings.Contains(err.Error(), l.bed.Name) {
		t.Errorf("%v", err)
	}
}

// A worker that is told to drain while it connects ends in order: nobody is to blame for it.
func TestWorkThatDrainsWhileItStartsEndsInOrder(t *testing.T) {
	t.Parallel()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	line, err := json.Marshal(&workAssignment{
		Bed: testbed.Bed{Name: "onceish-chaos-x", NATS: "nats://" + silent.Addr().String(), Store: testbed.StoreKV}, Lease: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Work(within(t), strings.NewReader(string(line)+"\nend\n"), &bytes.Buffer{}); err != nil {
		t.Errorf("%v", err)
	}
}

// Nothing is judged once a server is gone that no fault has hit.
func TestServerThatIsGoneIsNamed(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	o := quick(t, "work", KindKill)
	o.NATS, o.patience = s.URL(), 50*time.Millisecond
	c, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLab(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.close(t.Context()) }() // the connection is gone
	r := &round{o: c, lab: l}
	if err := r.checkNATS(); err != nil {
		t.Error(err)
	}
	l.connections.NATS().Close()
	err = r.every(within(t), func() (bool, error) { return false, r.checkNATS() })
	if err == nil || !strings.Contains(err.Error(), "the connection to NATS at "+s.URL()) {
		t.Errorf("%v", err)
	}
}

// Nothing is judged where the journal may be incomplete.
func TestFullDiskIsNamed(t *testing.T) {
	t.Parallel()
	d := &diskWatch{dir: t.TempDir(), least: 1}
	if err := d.check(); err != nil {
		t.Error(err)
	}
	d.least = math.MaxUint64
	if err := d.check(); err != nil {
		t.Errorf("looked again at once: %v", err)
	}
	if err := d.checkNow(); err == nil || !strings.Contains(err.Error(), d.dir) || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("%v; want the directory, and what to do", err)
	}
}

// A worker that cannot write to the journal makes no more effects.
func TestWorkEndsWithItsJournal(t *testing.T) {
	t.Parallel()
	o := quick(t, "work", KindKill)
	o.NATS = natstest.Start(t, nil).URL()
	c, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLab(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(within(t)); err != nil {
			t.Error(err)
		}
	}()
	line, err := json.Marshal(&workAssignment{Bed: l.bed, Journal: "/dev/full", Lease: time.Second, Order: "key"})
	if err != nil {
		t.Fatal(err)
	}
	in, tell := io.Pipe()
	go func() { _, _ = tell.Write(append(line, '\n')) }()
	if err := Work(within(t), in, io.Discard); !errors.Is(err, syscall.ENOSPC) { // nobody has told it to end
		t.Errorf("%v; want %v", err, syscall.ENOSPC)
	}
	if _, err := io.WriteString(tell, "end\n"); err != nil {
		t.Error(err)
	}
}

// Workers are blamed for what they do not settle, and not for what NATS does not take.
func TestStallIsBlamedOnWhoHasCausedIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unpublished        int64
		pending, unsettled int
		blamed             bool
	}{{unpublished: 2}, {pending: 1, blamed: true}, {unsettled: 1, blamed: true}, {unpublished: 2, pending: 1, blamed: true}} {
		cursors := &groupCursors{targets: make([]target, 1), of: []*testbed.GroupCursor{{Pending: c.pending, Unsettled: c.unsettled}}}
		r := &round{o: &Options{}, producer: &eventProducer{}, tally: journal.NewTally(nil), plan: &eventPlan{}, cursors: cursors}
		r.producer.left.Store(c.unpublished)
		err := r.judgeStall(time.Minute)
		if blamed := len(r.violations) == 1 && r.stalled; blamed != c.blamed || (err == nil) != blamed || !blamed && !strings.Contains(err.Error(), "not confirmed 2 messages") {
			t.Errorf("%+v: %+v, %v", c, r.violations, err)
		}
	}
}

func TestWorkWantsAnAssignment(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", "{}", "no JSON\n", `{"name":"a b"}` + "\n"} {
		if err := Work(t.Context(), strings.NewReader(in), &bytes.Buffer{}); err == nil {
			t.Errorf("%q will do", in)
		}
	}
}
