package serverclock

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// far is a server: its clock, and how long its answers take.
type far struct {
	offset, trip time.Duration
	err          error
	asked        int
	hangs        atomic.Bool // it answers nothing
}

func (f *far) ask(ctx context.Context) (time.Time, error) {
	f.asked++
	if f.hangs.Load() {
		<-ctx.Done()
		return time.Time{}, ctx.Err()
	}
	time.Sleep(f.trip / 2)
	at := time.Now().Add(f.offset)
	time.Sleep(f.trip / 2)
	return at.Truncate(time.Millisecond), f.err
}

func (f *far) clock() *Clock { return New(time.Now, f.ask, 5*time.Second) }

// right wants a reading that holds the server's time within its doubt, and the doubt within bound.
func right(t *testing.T, c *Clock, f *far, bound time.Duration) {
	t.Helper()
	i, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	truth := time.Now().Add(f.offset)
	if off := i.Time.Sub(truth); off > i.Doubt || off < -i.Doubt || i.Doubt > bound {
		t.Errorf("off by %v, in doubt by %v; the bound is %v", off, i.Doubt, bound)
	}
	if i.Until(time.Second).Before(truth.Add(time.Second)) {
		t.Errorf("a lease of 1 s ends %v from now", i.Until(time.Second).Sub(truth))
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &far{offset: -5 * time.Minute, trip: 8 * time.Millisecond}
		c := f.clock()
		right(t, c, f, 6*time.Millisecond)
		right(t, c, f, 6*time.Millisecond)
		if f.asked != 1 {
			t.Errorf("asked %d times, want once", f.asked)
		}
		time.Sleep(59 * time.Second)
		f.offset += 30 * time.Millisecond // drifts
		right(t, c, f, 70*time.Millisecond)
		if f.asked != 1 {
			t.Errorf("asked %d times within a minute, want once", f.asked)
		}
		time.Sleep(time.Second)
		right(t, c, f, 6*time.Millisecond)
		if f.asked != 2 {
			t.Errorf("asked %d times after a minute, want twice", f.asked)
		}
		f.offset += time.Minute // another server
		c.Distrust()
		right(t, c, f, 6*time.Millisecond)
	})
}

// An answer that took long is in doubt; the better one of two counts, and one in too much
// doubt is an error.
func TestClockDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &far{trip: 2 * time.Second}
		c := f.clock()
		right(t, c, f, 1010*time.Millisecond)
		if f.asked != 2 {
			t.Errorf("asked %d times, want the better one of 2", f.asked)
		}
		f.trip = 12 * time.Second
		c.Distrust()
		if _, err := c.Read(t.Context()); !errors.Is(err, ErrUncertain) {
			t.Errorf("%v, want ErrUncertain", err)
		}
		f.trip, f.err = 0, errors.New("down")
		c.Distrust()
		if _, err := c.Read(t.Context()); !errors.Is(err, f.err) {
			t.Errorf("%v, want the server's error", err)
		}
		f.err = nil
		right(t, c, f, 2*time.Millisecond)
	})
}

// However many calls fail, the server's time is asked for once, and all that need it share the
// answer, or the error.
func TestClockSharesAMeasurement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &far{trip: 40 * time.Millisecond}
		c := f.clock()
		const callers = 20
		for _, down := range []error{nil, errors.New("down"), nil} {
			f.err, f.asked = down, 0
			c.Distrust()
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					if i, err := c.Read(t.Context()); !errors.Is(err, down) || err == nil && i.Doubt > 30*time.Millisecond {
						t.Errorf("%v, %v; want %v", i, err, down)
					}
				})
			}
			start := time.Now()
			if all.Wait(); f.asked != 1 || time.Since(start) != f.trip {
				t.Errorf("asked %d times in %v, want once", f.asked, time.Since(start))
			}
		}
	})
}

// A measurement that hangs holds its caller up for less than a lease; and who gives up on it leaves
// the next one to measure.
func TestClockHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &far{}
		f.hangs.Store(true)
		c := f.clock()
		start := time.Now()
		if _, err := c.Read(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != measureFor {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		f.asked = 0
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := c.Read(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		both.Go(func() { right(t, c, f, 2*time.Millisecond) })
		synctest.Wait()
		f.hangs.Store(false)
		if both.Wait(); f.asked != 2 {
			t.Errorf("asked %d times, want one by each", f.asked)
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f.hangs.Store(true)
		c.Distrust()
		both.Go(func() { _, _ = c.Read(t.Context()) })
		synctest.Wait()
		start = time.Now()
		if _, err := c.Read(impatient); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("who waits for another's: %v after %v", err, time.Since(start))
		}
		both.Wait()
	})
}

// Who reads after its call failed takes no sample that was under way before that: it may be of the
// server that is gone.
func TestClockOfTheServerThatIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &far{trip: 40 * time.Millisecond}
		c := f.clock()
		var first sync.WaitGroup
		first.Go(func() { _, _ = c.Read(t.Context()) })
		time.Sleep(30 * time.Millisecond) // its sample is taken, and on its way
		synctest.Wait()
		f.offset += time.Minute // another server
		c.Distrust()
		i, err := c.Read(t.Context())
		if off := i.Time.Sub(time.Now().Add(f.offset)); err != nil || off > i.Doubt || off < -i.Doubt {
			t.Errorf("off by %v, in doubt by %v (%v)", off, i.Doubt, err)
		}
		first.Wait()
	})
}

// While one caller measures, others do with the last sample; one caller's failure leaves the
// next to measure.
func TestClockTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &far{trip: 4 * time.Millisecond}
		c := f.clock()
		right(t, c, f, 4*time.Millisecond)
		time.Sleep(measureEvery)
		done := make(chan struct{})
		go func() {
			defer close(done)
			right(t, c, f, 4*time.Millisecond)
		}()
		synctest.Wait()
		start := time.Now()
		right(t, c, f, 70*time.Millisecond)
		if d := time.Since(start); d > 0 || f.asked != 2 {
			t.Errorf("waited %v, asked %d times, want no wait and 2", d, f.asked)
		}
		<-done
		f.err = errors.New("down")
		time.Sleep(measureEvery)
		if _, err := c.Read(t.Context()); err == nil {
			t.Error("no error")
		}
		f.err = nil
		right(t, c, f, 4*time.Millisecond)
	})
}

func TestLeapt(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for what, then := range map[string]time.Time{"no time": now, "a while": now.Add(-time.Minute)} {
		if clockLeapt(then, now) {
			t.Errorf("%s passed: leapt", what)
		}
	}
	if !clockLeapt(now, now.Add(-time.Second)) {
		t.Error("time ran backwards: not leapt")
	}
}
