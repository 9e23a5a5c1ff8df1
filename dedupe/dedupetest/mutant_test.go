package dedupetest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

const mutantVariable = "DEDUPETEST_MUTANT"

// TestMutants runs the suite against stores that each break one promise, every one in a process of
// its own, and wants it to fail where the promise is tested.
func TestMutants(t *testing.T) {
	t.Parallel()
	for name, m := range mutants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMutant$", "-test.count=1", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), mutantVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
				t.Fatalf("the suite passes a broken store (%v):\n%s", err, out)
			}
			if where := "--- FAIL: TestMutant/" + strings.ReplaceAll(m.caught, " ", "_"); !strings.Contains(string(out), where) {
				t.Errorf("want it caught in %q:\n%s", m.caught, out)
			}
		})
	}
}

// TestMutant is what TestMutants starts.
func TestMutant(t *testing.T) {
	name := os.Getenv(mutantVariable)
	if name == "" {
		return
	}
	m, ok := mutants()[name]
	if !ok {
		t.Fatalf("%s names no mutant: %q", mutantVariable, name)
	}
	h := rigged(m.broken)
	h.Walks = 5
	Run(t, h)
}

// mutant is a broken store and the case that must find it out.
type mutant struct {
	caught string
	broken func(s *memdedupe.Store) allStore
}

// tampered overrides what is not nil.
type tampered struct {
	allStore
	seen    func(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error)
	mark    func(ctx context.Context, ms []dedupe.Mark) ([]error, error)
	claim   func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error)
	extend  func(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error)
	settle  func(ctx context.Context, ss []dedupe.Settlement) ([]error, error)
	reopen  func(ctx context.Context, keys []dedupe.Key) ([]error, error)
	note    func(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error)
	inspect func(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error)
	begin   func(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error)
	advance func(ctx context.Context, group, topic string, at dedupe.Watermark) error
	kept    func(ctx context.Context, group, topic string) ([]dedupe.Watermark, error)
	replace func(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error)
	skew    func(d time.Duration) allStore
}

func (x tampered) Seen(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
	if x.seen != nil {
		return x.seen(ctx, keys)
	}
	return x.allStore.Seen(ctx, keys)
}

func (x tampered) Mark(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
	if x.mark != nil {
		return x.mark(ctx, ms)
	}
	return x.allStore.Mark(ctx, ms)
}

func (x tampered) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	if x.claim != nil {
		return x.claim(ctx, rs)
	}
	return x.allStore.Claim(ctx, rs)
}

func (x tampered) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	if x.extend != nil {
		return x.extend(ctx, cs, lease, ttl)
	}
	return x.allStore.Extend(ctx, cs, lease, ttl)
}

func (x tampered) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	if x.settle != nil {
		return x.settle(ctx, ss)
	}
	return x.allStore.Settle(ctx, ss)
}

func (x tampered) Note(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
	if x.note != nil {
		return x.note(ctx, ns, lease, ttl)
	}
	return x.allStore.Note(ctx, ns, lease, ttl)
}

func (x tampered) Reopen(ctx context.Context, keys []dedupe.Key) ([]error, error) {
	if x.reopen != nil {
		return x.reopen(ctx, keys)
	}
	return x.allStore.Reopen(ctx, keys)
}

func (x tampered) Inspect(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
	if x.inspect != nil {
		return x.inspect(ctx, keys)
	}
	return x.allStore.Inspect(ctx, keys)
}

func (x tampered) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	if x.begin != nil {
		return x.begin(ctx, group, topic, at)
	}
	return x.allStore.Begin(ctx, group, topic, at)
}

func (x tampered) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) error {
	if x.advance != nil {
		return x.advance(ctx, group, topic, at)
	}
	return x.allStore.Advance(ctx, group, topic, at)
}

func (x tampered) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	if x.kept != nil {
		return x.kept(ctx, group, topic)
	}
	return x.allStore.Watermarks(ctx, group, topic)
}

func (x tampered) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (bool, error) {
	if x.replace != nil {
		return x.replace(ctx, group, topic, was, now)
	}
	return x.allStore.Replace(ctx, group, topic, was, now)
}

func (x tampered) skewed(d time.Duration) allStore {
	if x.skew != nil {
		return x.skew(d)
	}
	return x
}

// answers tampers with what Claim answers.
func answers(s *memdedupe.Store, f func(r dedupe.Request, c *dedupe.Claim)) allStore {
	return tampered{allStore: s, claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
		cs, err := s.Claim(ctx, rs)
		for i := range cs {
			f(rs[i], &cs[i])
		}
		return cs, err
	}}
}

// requests tampers with what Claim asks.
func requests(s *memdedupe.Store, f func(r *dedupe.Request)) allStore {
	return tampered{allStore: s, claim: func(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
		asked := append([]dedupe.Request(nil), rs...)
		for i := range asked {
			f(&asked[i])
		}
		cs, err := s.Claim(ctx, asked)
		for i := range cs {
			cs[i].Key, cs[i].Nonce = rs[i].Key, rs[i].Nonce
		}
		return cs, err
	}}
}

// settlements tampers with what Settle is told.
func settlements(s *memdedupe.Store, f func(x *dedupe.Settlement)) allStore {
	return tampered{allStore: s, settle: func(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
		told := append([]dedupe.Settlement(nil), ss...)
		for i := range told {
			f(&told[i])
		}
		return s.Settle(ctx, told)
	}}
}

// rekeyed stores all under keys of another encoding.
func rekeyed(s *memdedupe.Store, f func(k dedupe.Key) dedupe.Key) allStore {
	x, _ := requests(s, func(r *dedupe.Request) { r.Key = f(r.Key) }).(tampered)
	x.settle = settlements(s, func(x *dedupe.Settlement) { x.Claim.Key = f(x.Claim.Key) }).(tampered).settle //nolint:forcetypeassert // it is
	x.seen = func(ctx context.Context, keys []dedupe.Key) ([]dedupe.Record, error) {
		return s.Seen(ctx, keysOf(keys, f))
	}
	x.mark = func(ctx context.Context, ms []dedupe.Mark) ([]error, error) {
		ms = append([]dedupe.Mark(nil), ms...)
		for i := range ms {
			ms[i].Key = f(ms[i].Key)
		}
		return s.Mark(ctx, ms)
	}
	return x
}

func inID(id string) dedupe.Key { return dedupe.Key{ID: id} }

// owners remembers who won each key last.
type owners struct {
	mu sync.Mutex
	by map[dedupe.Key]string
}

func (o *owners) won(cs []dedupe.Claim) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = make(map[dedupe.Key]string)
	}
	for _, c := range cs {
		if c.State == dedupe.Fresh || c.State == dedupe.DeadLettering {
			o.by[c.Key] = c.Nonce
		}
	}
}

func (o *owners) of(c dedupe.Claim) dedupe.Claim {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n, ok := o.by[c.Key]; ok {
		c.Nonce = n
	}
	return c
}
