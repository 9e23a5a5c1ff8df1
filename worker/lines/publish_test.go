package lines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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

func TestPublishTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The connection is lost in the middle of the first three calls; what was stored just before was not confirmed.
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
		n, err := Publish(t.Context(), b, "t", numberedLines(100), nil)
		if err != nil || n.Stored != 100 || n.Duplicates == 0 {
			t.Errorf("%+v, %v", n, err)
		}
		inOrder(t, b, 100)
	})
}

func TestPublishGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stored, last := make(map[string]bool), "4" // which lines are read in time for the last batch is up to the scheduler
		b := &fakeBus{answer: func(_ int, e bus.Event) (bool, error) {
			if e.ID == "5" {
				last = "6"
			}
			if e.ID == "3" || e.ID == "5" {
				return false, errPasses
			}
			stored[e.ID] = true
			return true, nil
		}}
		begun := time.Now()
		r := io.MultiReader(numberedLines(6), never{t.Context()})
		n, err := Publish(t.Context(), b, "t", r, &Options{Patience: 10 * time.Second})
		if n.Stored != len(stored) || !errors.Is(err, ErrNotStored) || !errors.Is(err, errPasses) ||
			!strings.Contains(fmt.Sprint(err), "from line 4 to "+last) {
			t.Errorf("%+v, %v, want %d stored, and from line 4 to %s not", n, err, len(stored), last)
		}
		if took := time.Since(begun); took < 10*time.Second || took > 15*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
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
				n, err := Publish(ctx, b, "t", io.MultiReader(numberedLines(1), never{t.Context()}), &Options{Hurry: hurry})
				if n.Stored != 0 || !errors.Is(err, ErrNotStored) || !strings.Contains(fmt.Sprint(err), "from line 1 to 1") {
					t.Errorf("%+v, %v", n, err)
				}
				want := lastWords
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
