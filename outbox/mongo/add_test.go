package mongo_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// shop is an outbox on a server with transactions.
type shop struct {
	*testing.T

	set    *mongowire.FakeReplicaSet
	client *driver.Client
	queue  *mongooutbox.Queue
	orders *driver.Collection
	sent   *recorder
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, set: mongowire.NewFakeReplicaSet(t, mongotest.URI(t)), sent: &recorder{}}
	db := mongotest.Database(t)
	s.client = connect(t, options.Client().ApplyURI(s.set.URI()).SetMonitor(s.sent.monitor()).SetWriteConcern(writeconcern.W1()))
	s.queue = open(t, s.client.Database(db.Name()).Collection("outbox"), nil)
	s.orders = s.client.Database(db.Name()).Collection("orders")
	s.sent.take()
	return s
}

// within runs f in a transaction, and one write of its own before it.
func (s *shop) within(f func(ctx context.Context) error) error {
	s.Helper()
	sess, err := s.client.StartSession()
	if err != nil {
		s.Fatal(err)
	}
	defer sess.EndSession(context.Background())
	_, err = sess.WithTransaction(s.Context(), func(ctx context.Context) (any, error) {
		if _, err := s.orders.InsertOne(ctx, bson.D{{Key: "total", Value: 5}}); err != nil {
			return nil, err
		}
		return nil, f(ctx)
	}, options.Transaction().SetWriteConcern(writeconcern.Majority()))
	return err
}

func (s *shop) add(events ...bus.Event) error {
	s.Helper()
	return s.within(func(ctx context.Context) error {
		_, err := s.queue.Add(ctx, events...)
		return err
	})
}

// pending are the ids of pending rows.
func pending(t *testing.T, q *mongooutbox.Queue) (ids []string) {
	t.Helper()
	p, err := q.Pending(t.Context(), everything)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.Rows {
		ids = append(ids, p.Rows[i].Event.ID)
	}
	return ids
}

var everything = outbox.Ask{To: outbox.MaxHash, Rows: 10_000, Bytes: 64 << 20}

func placed(id string) bus.Event {
	return bus.Event{ID: id, Topic: "orders.new", Key: "k", Data: []byte(id)}
}

func TestAddCommitsWithTheTransaction(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var during []string
	err := s.within(func(ctx context.Context) error {
		ids, err := s.queue.Add(ctx, placed("b"), placed(""), placed("a"))
		if err == nil && (ids[0] != "b" || ids[1] == "" || ids[2] != "a") {
			t.Errorf("ids %q", ids)
		}
		during = pending(t, s.queue)
		return err
	})
	if err != nil || len(during) != 0 {
		t.Fatalf("%v; before the commit there are %v", err, during)
	}
	if got := pending(t, s.queue); len(got) != 3 || got[0] != "b" || got[2] != "a" {
		t.Errorf("committed: %v; want b, another and a", got)
	}
	failed := errors.New("no")
	err = s.within(func(ctx context.Context) error {
		_, err := s.queue.Add(ctx, placed("c"))
		return errors.Join(failed, err)
	})
	if n, _ := s.orders.CountDocuments(t.Context(), bson.D{}); !errors.Is(err, failed) || n != 1 || len(pending(t, s.queue)) != 3 {
		t.Errorf("aborted: %v; %d orders, pending %v", err, n, pending(t, s.queue))
	}
}

// An id that is there already does not cost the transaction: the same event is left as it is, and
// another one is told before the commit.
func TestAddAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for range 2 {
		if err := s.add(placed("a"), placed("b"), placed("a")); err != nil {
			t.Fatal(err)
		}
	}
	other := placed("a")
	other.Data = []byte("other")
	if err := s.add(placed("c"), other); !errors.Is(err, outbox.ErrExists) {
		t.Errorf("another event: %v; want ErrExists", err)
	}
	if err := s.add(placed("d"), bus.Event{ID: "d", Topic: "orders.new", Data: []byte("other")}); !errors.Is(err, outbox.ErrExists) {
		t.Errorf("two events with one id in one call: %v; want ErrExists", err)
	}
	if got := pending(t, s.queue); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("pending %v; want a and b", got)
	}
}

// All of a transaction carries its number, and nothing that the outbox does besides.
func TestAddCommands(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	if err := s.within(func(ctx context.Context) error {
		_, err := s.queue.Add(ctx, bus.Event{Topic: "t"})
		if err == nil {
			_, err = s.queue.Add(ctx, placed("a"))
		}
		if _, err := s.queue.AddAlone(ctx, placed("alone")); err != nil {
			t.Error(err)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	sent := s.sent.take()
	want := []string{"insert orders tx", "insert outbox tx", "update outbox tx", "insert outbox", "commitTransaction tx"}
	var got []string
	for _, c := range sent {
		e, _ := c.IndexErr(0)
		name := e.Key()
		if coll, ok := e.Value().StringValueOK(); ok {
			name += " " + coll
		}
		if _, err := c.LookupErr("autocommit"); err == nil {
			if _, err := c.LookupErr("txnNumber"); err != nil || c.Lookup("lsid").IsZero() {
				t.Errorf("in a transaction without number or session: %v", c)
			}
			name += " tx"
		}
		w, _ := c.Lookup("writeConcern", "w").StringValueOK()
		if wants := !strings.HasSuffix(name, " tx") || strings.HasPrefix(name, "commit"); (w == "majority") != wants {
			t.Errorf("%s with w:%q", name, w)
		}
		got = append(got, name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent %q; want %q", got, want)
	}
}

func TestAddWithoutTransaction(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	none := func(ctx context.Context, what string) {
		t.Helper()
		if _, err := s.queue.Add(ctx, placed("a")); !errors.Is(err, mongooutbox.ErrNoTransaction) || !strings.Contains(err.Error(), "AddAlone") {
			t.Errorf("%s: %v; want an ErrNoTransaction that tells of AddAlone", what, err)
		}
	}
	none(t.Context(), "no session")
	sess, err := s.client.StartSession()
	if err != nil {
		t.Fatal(err)
	}
	defer sess.EndSession(t.Context())
	ctx := driver.NewSessionContext(t.Context(), sess)
	none(ctx, "a session without a transaction")
	if err := sess.StartTransaction(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, collection(t, options.Client().ApplyURI(s.set.URI())), nil).Add(ctx, placed("a")); err == nil || !strings.Contains(err.Error(), "another client") {
		t.Errorf("a transaction of another client: %v", err)
	}
	if _, err := s.queue.Add(ctx, placed("a")); err != nil {
		t.Error(err)
	}
	if err := sess.AbortTransaction(t.Context()); err != nil {
		t.Fatal(err)
	}
	none(ctx, "an aborted transaction")
	if got := pending(t, s.queue); len(got) != 0 {
		t.Errorf("pending %v; want none", got)
	}
}

// A conflict of transactions keeps its label, by which the driver runs the function again.
func TestAddRunsAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	runs := 0
	s.set.On(func(command string, before int) *mongowire.Turn {
		if command == "update" && before == 0 {
			return &mongowire.Turn{Reply: mongowire.LabelledFailure(112, "WriteConflict", "TransientTransactionError")}
		}
		return nil
	})
	if err := s.within(func(ctx context.Context) error {
		runs++
		_, err := s.queue.Add(ctx, placed("a"))
		return err
	}); err != nil || runs != 2 {
		t.Errorf("%v after %d runs; want none after 2", err, runs)
	}
	if got := pending(t, s.queue); !slices.Equal(got, []string{"a"}) {
		t.Errorf("pending %v; want a", got)
	}
}

func TestAddAlone(t *testing.T) {
	t.Parallel()
	q := open(t, collection(t, options.Client().ApplyURI(mongotest.URI(t))), nil)
	add := func(events ...bus.Event) error {
		_, err := q.AddAlone(t.Context(), events...)
		return err
	}
	full := bus.Event{
		ID: "full", Topic: "t", Time: time.Unix(1_700_000_000, 123_456_789), Headers: bus.Headers{"b.c": {"1", "2"}, "$a": {"3"}}, Source: "s", Data: []byte{},
	}
	if err := errors.Join(add(), add(full, placed("b")), add(full, placed("b"), placed("c")), add(full)); err != nil {
		t.Fatal(err)
	}
	other := full
	other.Data = []byte("other")
	if err := add(placed("new"), other); !errors.Is(err, outbox.ErrExists) {
		t.Errorf("another payload: %v; want ErrExists", err)
	}
	rows, err := q.List(t.Context(), outbox.Filter{IDs: []string{"full"}}, 1)
	if err != nil || len(rows) != 1 || !rows[0].Event.Time.Equal(full.Time) {
		t.Errorf("listed %+v, %v; want the time to the nanosecond", rows, err)
	}
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	q := open(t, collection(t, options.Client().ApplyURI(mongotest.URI(t))), nil)
	for name, c := range map[string]struct {
		row  outbox.Row
		want error
		says string
	}{
		"no topic":     {outbox.Row{Event: bus.Event{ID: "a"}}, bus.ErrInvalidEvent, ""},
		"wildcard":     {outbox.Row{Event: bus.Event{ID: "a", Topic: "a.*"}}, bus.ErrInvalidEvent, ""},
		"no text":      {outbox.Row{Event: bus.Event{ID: "a", Topic: "a", Key: "\xff"}}, bus.ErrInvalidEvent, "Event.Key"},
		"header":       {outbox.Row{Event: bus.Event{ID: "a", Topic: "a", Headers: bus.Headers{"a": {"\xff"}}}}, bus.ErrInvalidEvent, "Event.Headers"},
		"too large":    {outbox.Row{Event: bus.Event{ID: "a", Topic: "a", Data: make([]byte, 16<<20)}}, bus.ErrTooLarge, "at most"},
		"seq too high": {outbox.Row{Event: placed("a"), Seq: 1 << 63}, nil, "Seq is"},
		"long id":      {outbox.Row{Event: placed(strings.Repeat("long", 5_000))}, bus.ErrInvalidEvent, ""},
	} {
		_, err := q.AddRowsAlone(t.Context(), outbox.Row{Event: placed("before")}, c.row)
		if err == nil && name == "long id" {
			continue // not all servers mind
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %v that says %q", name, err, c.want, c.says)
		}
	}
}

// One process that reaches an outbox by two clients, which know the server's time differently,
// assigns one sequence.
func TestSequencesGrowOverAllQueuesOfAProcess(t *testing.T) {
	t.Parallel()
	coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)))
	w := mongowire.New(t, mongotest.URI(t))
	direct := open(t, coll, nil)
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if command == "hello" {
			time.Sleep(400 * time.Millisecond) // the way back takes long, and the way there does not
		}
		return reply
	})
	client := connect(t, options.Client().ApplyURI(w.URI()))
	behind := open(t, client.Database(coll.Database().Name()).Collection(coll.Name()), nil)
	var want []string
	for i := range 6 {
		q := []*mongooutbox.Queue{direct, behind}[i%2]
		want = append(want, must[[]string](t)(q.AddAlone(t.Context(), placed("")))...)
	}
	if got := pending(t, direct); !slices.Equal(got, want) {
		t.Errorf("pending %v; added were %v", got, want)
	}
}

// Who has added a row is told to consumers by its headers, in a transaction and outside.
func TestRowsHaveWhatTheContextOfTheirAddAdds(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	type writer struct{}
	q := open(t, s.orders.Database().Collection("outbox"), &mongooutbox.Options{Headers: func(ctx context.Context) bus.Headers {
		name, _ := ctx.Value(writer{}).(string)
		return bus.Headers{"traceparent": {name}}
	}})
	if err := s.within(func(ctx context.Context) error {
		_, err := q.Add(context.WithValue(ctx, writer{}, "within"), bus.Event{ID: "1", Topic: "t"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	own := bus.Event{ID: "3", Topic: "t", Headers: bus.Headers{"Traceparent": {"own"}}}
	if _, err := q.AddAlone(context.WithValue(t.Context(), writer{}, "alone"), bus.Event{ID: "2", Topic: "t"}, own); err != nil {
		t.Fatal(err)
	}
	page, err := q.Pending(t.Context(), outbox.Ask{To: outbox.MaxHash, Rows: 10, Bytes: 1 << 20})
	got := make(map[string]string)
	for _, r := range page.Rows {
		got[r.Event.ID] = r.Event.Headers.Get("traceparent")
	}
	if err != nil || len(got) != 3 || got["1"] != "within" || got["2"] != "alone" || got["3"] != "own" {
		t.Errorf("rows carry %v, %v", got, err)
	}
}
