package ndjson

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
)

// fakeBus stores what it is told to, and keeps the order.
type fakeBus struct {
	mu      sync.Mutex
	stored  []string
	calls   int
	answer  func(call int, e bus.Event) (stored bool, err error)
	largest int
}

var errPasses = errors.New("a passing fault")

func (b *fakeBus) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.largest = max(b.largest, len(events))
	if ctx.Err() != nil {
		return failed(len(events), context.Cause(ctx)), context.Cause(ctx)
	}
	receipts := make([]bus.Receipt, len(events))
	for i, e := range events {
		stored, err := true, error(nil)
		if b.answer != nil {
			stored, err = b.answer(b.calls, e)
		}
		receipts[i].Err = err
		if stored && !b.has(e.ID) {
			b.stored = append(b.stored, e.ID)
		} else if stored {
			receipts[i].Duplicate = true
		}
	}
	return receipts, nil
}

func failed(n int, err error) []bus.Receipt {
	rs := make([]bus.Receipt, n)
	for i := range rs {
		rs[i].Err = err
	}
	return rs
}

func (b *fakeBus) has(id string) bool {
	return slices.Contains(b.stored, id)
}

// numberedLines are {"id":0}, {"id":1}, …
func numberedLines(n int) io.Reader {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "{\"id\":%d}\n", i)
	}
	return strings.NewReader(s.String())
}

func inOrder(t *testing.T, b *fakeBus, n int) {
	t.Helper()
	if len(b.stored) != n {
		t.Errorf("%d of %d are stored", len(b.stored), n)
	}
	for i, id := range b.stored {
		if id != fmt.Sprint(i) {
			t.Fatalf("%d. is %s", i, id)
		}
	}
}

// The connection is lost in the middle of the first three calls; what was stored just before was
// not confirmed.
func TestPublishTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBus{}
		b.answer = func(call int, e bus.Event) (bool, error) {
			switch n := len(b.stored); {
			case call > 3 || n < 10*call:
				return true, nil
			case n == 10*call && !b.has(e.ID):
				return true, errPasses
			}
			return false, errPasses
		}
		n, err := Publish(t.Context(), b, "t", numberedLines(100), &Options{Order: OrderNone})
		if err != nil || n.Stored != 100 || n.Duplicates == 0 {
			t.Errorf("%+v, %v", n, err)
		}
		inOrder(t, b, 100)
	})
}

// failsAtFirst is a bus that stores none of the events at first whose number ends in seven, and all
// others of the same call: as when a leader changes.
func failsAtFirst() *fakeBus {
	tried := make(map[string]bool)
	return &fakeBus{answer: func(_ int, e bus.Event) (bool, error) {
		again := tried[e.ID]
		tried[e.ID] = true
		if strings.HasSuffix(e.ID, "7") && !again {
			return false, errPasses
		}
		return true, nil
	}}
}

// No line is stored behind later ones of its key, or of its file where no key is asked for.
func TestPublishKeepsOrderWhenTheBusFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := failsAtFirst()
		if n, err := Publish(t.Context(), b, "t", numberedLines(100), nil); err != nil || n.Stored != 100 {
			t.Errorf("%+v, %v", n, err)
		}
		inOrder(t, b, 100)
		var text strings.Builder
		for i := range 100 {
			fmt.Fprintf(&text, "{\"id\":%d,\"key\":%d}\n", i, i%3)
		}
		b = failsAtFirst()
		if n, err := Publish(t.Context(), b, "t", strings.NewReader(text.String()), &Options{KeyField: "key", Order: OrderKeys}); err != nil || n.Stored != 100 || b.largest > 3 {
			t.Errorf("%+v, %v, up to %d in flight", n, err, b.largest)
		}
		last := map[int]int{0: -1, 1: -1, 2: -1}
		for _, id := range b.stored {
			n, _ := strconv.Atoi(id)
			if n < last[n%3] {
				t.Errorf("%d is stored behind %d", n, last[n%3])
			}
			last[n%3] = n
		}
	})
}

// A key whose line is not stored holds back itself alone.
func TestPublishGivesUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o      Options
		stored int
		says   string
	}{
		"the file": {Options{}, 3, "3 from line 4 to 6 are not known to be stored, and no line behind 6 was"},
		"a key":    {Options{KeyField: "key", Order: OrderKeys}, 4, "2 from line 4 to 6 are not known to be stored, and no line behind 6 was"},
		"a line":   {Options{Order: OrderNone}, 5, "1 from line 4 to 4 are not known to be stored, and no line behind 6 was"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &fakeBus{answer: func(_ int, e bus.Event) (bool, error) {
					if e.ID == "3" {
						return false, errPasses
					}
					return true, nil
				}}
				begun := time.Now()
				r := io.MultiReader(strings.NewReader(`{"id":0,"key":0}
{"id":1,"key":1}
{"id":2,"key":0}
{"id":3,"key":1}
{"id":4,"key":0}
{"id":5,"key":1}
`), never{t.Context()})
				c.o.Patience = 10 * time.Second
				n, err := Publish(t.Context(), b, "t", r, &c.o)
				if n.Stored != c.stored || !errors.Is(err, ErrNotStored) || !errors.Is(err, errPasses) || !strings.Contains(fmt.Sprint(err), c.says) {
					t.Errorf("%+v, %v; want %d stored, and %q", n, err, c.stored, c.says)
				}
				if took := time.Since(begun); took < 10*time.Second || took > 15*time.Second {
					t.Errorf("gave up after %v", took)
				}
			})
		})
	}
}

// never is a reader that blocks until the test ends.
type never struct{ ctx context.Context }

func (n never) Read([]byte) (int, error) {
	<-n.ctx.Done()
	return 0, io.EOF
}

func TestPublishDoesNotTryAgainInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := make(map[string]int)
		b := &fakeBus{answer: func(_ int, e bus.Event) (bool, error) {
			asked[e.ID]++
			switch e.ID {
			case "1":
				return false, bus.ErrTooLarge
			case "2":
				return false, fmt.Errorf("header: %w", bus.ErrInvalidEvent)
			}
			return true, nil
		}}
		var refused []string
		n, err := Publish(t.Context(), b, "t", numberedLines(4), &Options{Refused: func(line int, err error) {
			refused = append(refused, fmt.Sprintf("%d %v", line, err))
		}})
		if want := (Published{Stored: 2, Refused: 2}); n != want || !errors.Is(err, ErrNotStored) {
			t.Errorf("%+v, %v, want %+v", n, err, want)
		}
		for id, times := range asked {
			if times != 1 {
				t.Errorf("%s was published %d times", id, times)
			}
		}
		if len(refused) != 2 || !strings.HasPrefix(refused[0], "2 ") || !strings.HasPrefix(refused[1], "3 ") {
			t.Errorf("refused: %q", refused)
		}
	})
}

func TestPublishBoundsWhatItHolds(t *testing.T) {
	t.Parallel()
	b := &fakeBus{}
	if n, err := Publish(t.Context(), b, "t", numberedLines(20_000), nil); err != nil || n.Stored != 20_000 {
		t.Errorf("%+v, %v", n, err)
	}
	if b.largest > backlogEvents {
		t.Errorf("%d events at once", b.largest)
	}
	long := strings.Repeat("x", 900<<10)
	b = &fakeBus{}
	if n, err := Publish(t.Context(), b, "t", strings.NewReader(strings.Repeat(long+"\n", 30)), nil); err != nil || n.Stored != 30 {
		t.Errorf("%+v, %v", n, err)
	}
	if b.largest*len(long) > backlogBytes {
		t.Errorf("%d events of %d bytes at once", b.largest, len(long))
	}
}

func TestPublishOfLongLines(t *testing.T) {
	t.Parallel()
	long := `{"id":"long","x":"` + strings.Repeat("x", 2<<20) + `"}`
	longer := strings.Repeat("x", 4<<20)
	text := strings.Join([]string{`{"id":"first"}`, long, longer, `{"id":"broken`, `{"id":"last"}`}, "\n") // and no end
	b := &fakeBus{}
	var refused []int
	n, err := Publish(t.Context(), b, "t", strings.NewReader(text), &Options{
		MaxBytes: 3 << 20, IDField: "id", Refused: func(line int, _ error) { refused = append(refused, line) },
	})
	if want := (Published{Stored: 3, Refused: 2}); n != want || !errors.Is(err, ErrNotStored) {
		t.Errorf("%+v, %v; want %+v", n, err, want)
	}
	if !slices.Equal(b.stored, []string{"first", "long", "last"}) || !slices.Equal(refused, []int{3, 4}) {
		t.Errorf("stored %q, refused lines %d", b.stored, refused)
	}
}

func TestPublishTellsReadErrors(t *testing.T) {
	t.Parallel()
	b := &fakeBus{}
	r := io.MultiReader(numberedLines(2), iotest.ErrReader(os.ErrPermission))
	n, err := Publish(t.Context(), b, "t", r, nil)
	if n.Stored != 2 || !errors.Is(err, ErrNotStored) || !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "reading line 3") {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestPublishEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := &fakeBus{answer: func(int, bus.Event) (bool, error) {
			cancel()
			return true, nil
		}}
		r := io.MultiReader(numberedLines(3), never{t.Context()})
		n, err := Publish(ctx, b, "t", r, nil)
		if n.Stored != 3 || !errors.Is(err, ErrNotStored) || !errors.Is(err, context.Canceled) || !strings.Contains(fmt.Sprint(err), "after line 3") {
			t.Errorf("%+v, %v", n, err)
		}
	})
}

func TestPublishGivesWhatWasReadAFewSeconds(t *testing.T) {
	t.Parallel()
	for name, hurried := range map[string]bool{"in time": false, "in a hurry": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				hurry := make(chan struct{})
				b := &fakeBus{answer: func(int, bus.Event) (bool, error) {
					cancel()
					return false, errPasses
				}}
				if hurried {
					time.AfterFunc(time.Second, func() { close(hurry) })
				}
				begun := time.Now()
				n, err := Publish(ctx, b, "t", io.MultiReader(numberedLines(1), never{t.Context()}), &Options{ForceStop: hurry})
				if n.Stored != 0 || !errors.Is(err, ErrNotStored) || !strings.Contains(fmt.Sprint(err), "from line 1 to 1") {
					t.Errorf("%+v, %v", n, err)
				}
				want := finishTimeout
				if hurried {
					want = time.Second
				}
				if took := time.Since(begun); took < want || took > want+2*time.Second {
					t.Errorf("took %v, want %v", took, want)
				}
			})
		})
	}
}
