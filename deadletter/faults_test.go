package deadletter_test

import (
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/deadletter"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// onJetStream returns a bus with a stream for events, and one for letters that is made of c.
func onJetStream(t *testing.T, c jetstream.StreamConfig) (*nats.Conn, *natsbus.Bus) {
	t.Helper()
	nc := natstest.Start(t, nil).Connect(t)
	js, err := jetstream.New(nc)
	must(t, err)
	c.Name, c.Subjects = "DEAD", []string{"dead.>"}
	for _, c := range []jetstream.StreamConfig{{Name: "ORDERS", Subjects: []string{"order.>"}}, c} {
		_, err := js.CreateStream(t.Context(), c)
		must(t, err)
	}
	b, err := natsbus.New(nc, &natsbus.Options{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(b.Close)
	return nc, b
}

func openTopic(t *testing.T, b bus.Bus) *deadletter.Topic {
	t.Helper()
	topic, err := deadletter.OpenTopic(b, "dead.billing")
	must(t, err)
	return topic
}

func newStore(t *testing.T) *memdedupe.Store {
	t.Helper()
	store, err := memdedupe.New(nil)
	must(t, err)
	return store
}

// On a topic that is full an edit is refused and changes nothing, and a redrive empties it.
func TestFullTopicRefusesAnEditAndIsRedriven(t *testing.T) {
	t.Parallel()
	_, b := onJetStream(t, jetstream.StreamConfig{MaxMsgs: 10, Discard: jetstream.DiscardNew})
	publishLetters(t, b, 1, 10)
	topic := openTopic(t, b)
	for l, err := range topic.List(t.Context(), deadletter.Filter{ID: "7"}, bus.Position{}) {
		must(t, err)
		if _, err := topic.Edit(t.Context(), l, deadletter.Edit{Data: []byte("b")}); !errors.Is(err, bus.ErrUnavailable) {
			t.Errorf("Edit on a topic that is full: %v; want ErrUnavailable", err)
		}
	}
	n, err := topic.RedriveAll(t.Context(), newStore(t), deadletter.Filter{}, nil)
	if err != nil || n != (deadletter.Bulk{Done: 10}) {
		t.Errorf("RedriveAll: %+v, %v; want 10 done", n, err)
	}
}

// Letters on a topic that was deleted, or made again, are not found, and what lies there now is not
// deleted in their place.
func TestLettersOfATopicThatIsReplacedDeleteNoOthers(t *testing.T) {
	t.Parallel()
	nc, b := onJetStream(t, jetstream.StreamConfig{})
	publishLetters(t, b, 1, 3)
	topic := openTopic(t, b)
	letters := listAll(t, topic)
	js, err := jetstream.New(nc)
	must(t, err)
	must(t, js.DeleteStream(t.Context(), "DEAD"))
	for _, err := range topic.Redrive(t.Context(), newStore(t), "", letters...) {
		if !errors.Is(err, bus.ErrNoStream) {
			t.Errorf("Redrive without the topic: %v; want ErrNoStream", err)
		}
	}
	for _, err := range topic.List(t.Context(), deadletter.Filter{}, bus.Position{}) {
		if !errors.Is(err, bus.ErrNoStream) {
			t.Errorf("List without the topic: %v; want ErrNoStream", err)
		}
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}})
	must(t, err)
	publishLetters(t, b, 4, 6)
	for _, err := range topic.Drop(t.Context(), letters...) {
		if !errors.Is(err, bus.ErrStreamReplaced) {
			t.Errorf("Drop of letters of the topic before: %v; want ErrStreamReplaced", err)
		}
	}
	if got := ids(listAll(t, topic)); len(got) != 3 {
		t.Errorf("letters of %q are left; want three", got)
	}
}

// Two who redrive all letters at once store one copy of each event, and no letter fails.
func TestTwoWhoRedriveAllAtOnceStoreOneCopyOfEach(t *testing.T) {
	t.Parallel()
	const letters = 1000
	_, b := onJetStream(t, jetstream.StreamConfig{})
	publishLetters(t, b, 1, letters)
	store := newStore(t)
	var bulks [2]deadletter.Bulk
	var redriving sync.WaitGroup
	for i := range bulks {
		topic := openTopic(t, b)
		redriving.Go(func() {
			var err error
			if bulks[i], err = topic.RedriveAll(t.Context(), store, deadletter.Filter{}, nil); err != nil {
				t.Errorf("RedriveAll: %v", err)
			}
		})
	}
	redriving.Wait()
	if n := bulks[0].Done + bulks[1].Done; bulks[0].Failed+bulks[1].Failed > 0 || n < letters {
		t.Errorf("RedriveAll: %+v; want %d done, and none failed", bulks, letters)
	}
	copies := map[string]int{}
	for s, err := range b.Read(t.Context(), "order.placed", bus.Range{}) {
		must(t, err)
		copies[s.Event.ID]++
	}
	for id, n := range copies {
		if n != 1 {
			t.Errorf("event %q has %d copies", id, n)
		}
	}
	if left := listAll(t, openTopic(t, b)); len(copies) != letters || len(left) > 0 {
		t.Errorf("%d events have copies and %d letters are left; want %d and none", len(copies), len(left), letters)
	}
}

// 100,000 letters are read page by page while letters come and go: each that is there all the time
// once, and no more of them are held than a page.
func TestPagesOfManyLettersHaveEachOnceAndHoldOnePage(t *testing.T) {
	t.Parallel()
	const letters, page = 100_000, 10_000
	_, b := onJetStream(t, jetstream.StreamConfig{})
	publishLetters(t, b, 1, letters)
	topic := openTopic(t, b)
	listed, last := make([]bool, letters+1), letters
	var first, most uint64
	for after := (bus.Position{}); ; {
		n, before := 0, after
		var gone []deadletter.Letter
		for l, err := range topic.List(t.Context(), deadletter.Filter{}, after) {
			must(t, err)
			if i, _ := strconv.Atoi(l.Event.ID); i <= letters {
				if listed[i] {
					t.Fatalf("letter of %d was listed twice", i)
				}
				listed[i] = true
			}
			if after = l.Position; n%1000 == 0 {
				gone = append(gone, l)
			}
			if n++; n == page {
				break
			}
		}
		if after == before {
			break
		}
		most = heapInUse()
		if first == 0 {
			first = most
		}
		must(t, errors.Join(topic.Drop(t.Context(), gone...)...))
		if last < letters+100 {
			publishLetters(t, b, last+1, last+10)
			last += 10
		}
	}
	for i := 1; i <= letters; i++ {
		if !listed[i] {
			t.Fatalf("letter of %d was not listed", i)
		}
	}
	if most > first+32<<20 {
		t.Errorf("the heap has grown from %d MB after the first page to %d MB", first>>20, most>>20)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// publishLetters stores the letters of events from … to.
func publishLetters(t *testing.T, b bus.Publisher, from, to int) {
	t.Helper()
	var batch []bus.Event
	for i := from; i <= to; i++ {
		if batch = append(batch, storedLetter(i)); len(batch) == 1000 || i == to {
			_, err := b.Publish(t.Context(), batch...)
			must(t, err)
			batch = nil
		}
	}
}

func listAll(t *testing.T, topic *deadletter.Topic) (all []deadletter.Letter) {
	t.Helper()
	for l, err := range topic.List(t.Context(), deadletter.Filter{}, bus.Position{}) {
		must(t, err)
		all = append(all, l)
	}
	return all
}
