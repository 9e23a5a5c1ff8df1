package provision_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/onceish/onceish/worker/provision"
)

const whole = subscription + "provision:\n  streams:\n    - {name: ORDERS, subjects: [order.>], max_age: 7d, max_bytes: 1GiB}\n  buckets: {members: {max_bytes: 1MiB}}\n"

func TestAPlanChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.plan(whole)
	if n := p.Count(provision.Create); n != 5 || p.Pending() != n || p.Count(provision.Manual) != 1 {
		t.Errorf("%d to create: %+v", n, p.Items)
	}
	if all := s.messages(); len(all) > 0 {
		t.Errorf("looking has made %v", all)
	}
}

func TestWhatIsProvisionedIsWhatTheFileSays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.apply(whole)
	c := s.config("ORDERS")
	if c.MaxBytes != 1<<30 || c.MaxAge.Hours() != 7*24 || c.Storage != jetstream.FileStorage || c.Retention != jetstream.LimitsPolicy || !c.AllowDirect || c.MaxMsgs != -1 {
		t.Errorf("%+v", c)
	}
	if m := s.config("KV_onceish-members"); m.MaxBytes != 1<<20 || m.MaxMsgsPerSubject != 1 || m.Discard != jetstream.DiscardNew {
		t.Errorf("%+v", m)
	}
	s.keepsAll(whole)
}

// What a worker makes by itself is as it is to be.
func TestWhatTheWorkerMadeIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.conns.GroupStore(t.Context())
	must(t, err)
	_, err = s.conns.Store(t.Context())
	must(t, err)
	for _, item := range s.plan(subscription).Items {
		if item.Kind == provision.KindBucket && item.Action != provision.Keep {
			t.Errorf("%+v", item)
		}
	}
}

// A bucket that was made by hand becomes one that the worker can use, and keeps its rows' time.
func TestBucketsBecomeFit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []jetstream.KeyValueConfig{{Bucket: "onceish-members", History: 3}, {Bucket: "onceish-groups"}, {Bucket: "onceish-dedupe", History: 5}} {
		_, err := s.js.CreateKeyValue(t.Context(), c)
		must(t, err)
	}
	p := s.apply(subscription)
	if n := p.Count(provision.Change); n != 3 {
		t.Errorf("%d changed: %+v", n, p.Items)
	}
	s.keepsAll(subscription)
	_, err := s.conns.Store(t.Context())
	must(t, err)
}

// Whatever there was, a plan that was applied leaves nothing to do but what it refuses, and
// no message is gone.
func TestASecondPlanHasNothingToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rapid.Check(t, func(r *rapid.T) {
		for name := range s.messages() {
			if !strings.HasPrefix(name, "KV_") {
				must(t, s.js.DeleteStream(t.Context(), name))
			}
		}
		first, second := drawStreams(r), drawStreams(r)
		s.apply(subscription + first)
		s.keepsAll(subscription + first)
		for i := range rapid.IntRange(0, 12).Draw(r, "messages") {
			_, _ = s.js.Publish(t.Context(), fmt.Sprintf("order.%d", i%3), []byte("{}")) // not all streams take it
		}
		before := s.messages()
		p := s.plan(subscription + second)
		refused := p.Count(provision.Refuse)
		err := p.Apply(t.Context(), nil)
		after := s.messages()
		for name, n := range before {
			if after[name] != n {
				r.Errorf("%s has %d messages of %d after\n%s\nand\n%s\n%+v", name, after[name], n, first, second, p.Items)
			}
		}
		if (err != nil) != (refused > 0) || err != nil && !errors.Is(err, provision.ErrIncomplete) {
			r.Errorf("%d refused: %v: %+v", refused, err, p.Items)
		}
		for _, item := range s.plan(subscription + second).Items {
			if !item.Done() && itemOf(t, p, item.Name).Action != provision.Refuse {
				r.Errorf("%s\nand\n%s\nleave %+v to do", first, second, item)
			}
		}
	})
}

// drawStreams is a section with a stream that has any of the fields.
func drawStreams(r *rapid.T) string {
	fields := []string{"name: ORDERS", "subjects: [" + rapid.SampledFrom([]string{"order.>", "order.*", "order.placed, order.1", "order.*, refund.>"}).Draw(r, "subjects") + "]"}
	for _, f := range []struct {
		name   string
		values []string
	}{
		{"storage", []string{"file", "memory"}},
		{"retention", []string{"limits", "interest"}},
		{"discard", []string{"old", "new"}},
		{"max_age", []string{"1h", "1m", "unlimited"}},
		{"max_bytes", []string{"200B", "1KiB", "1MiB", "unlimited"}},
		{"max_msgs", []string{"1", "5", "100", "unlimited"}},
		{"max_msgs_per_subject", []string{"1", "2", "unlimited"}},
		{"max_msg_size", []string{"1KiB", "unlimited"}},
		{"replicas", []string{"1"}},
		{"duplicate_window", []string{"1s", "1m"}},
	} {
		if rapid.Bool().Draw(r, f.name+"?") {
			fields = append(fields, f.name+": "+rapid.SampledFrom(f.values).Draw(r, f.name))
		}
	}
	return streams("{" + strings.Join(fields, ", ") + "}")
}

// Whoever was killed after any item applies a new plan, which does the rest.
func TestAPlanThatWasCutOffIsCompletedByAnother(t *testing.T) {
	t.Parallel()
	for cut := range 6 {
		s := newSite(t)
		ctx, kill := context.WithCancel(t.Context())
		items := 0
		err := s.plan(whole).Apply(ctx, func(provision.Item) {
			if items++; items > cut {
				kill()
			}
		})
		kill()
		if cut < 5 && (!errors.Is(err, context.Canceled) || items != cut+1) {
			t.Fatalf("cut off after %d of %d: %v", cut+1, items, err)
		}
		s.apply(whole)
		s.keepsAll(whole)
	}
}

func TestPlansThatAreAppliedAtOnceEndInTheSameState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.apply(subscription + streams("{name: ORDERS, subjects: [order.placed]}"))
	var plans []*provision.Plan
	for range 4 {
		plans = append(plans, s.plan(whole))
	}
	var all sync.WaitGroup
	for _, p := range plans {
		all.Go(func() {
			if err := p.Apply(t.Context(), nil); err != nil {
				t.Errorf("%v: %+v", err, p.Items)
			}
		})
	}
	all.Wait()
	s.keepsAll(whole)
}

// What was looked at and is another one by now is not changed unseen.
func TestWhatWasNotLookedAtIsNotChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.plan(whole)
	_, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"order.placed"}})
	must(t, err)
	if err := p.Apply(t.Context(), nil); !errors.Is(err, provision.ErrIncomplete) {
		t.Error(err)
	}
	if item := itemOf(t, p, "ORDERS"); !strings.Contains(item.Error, "it is now to change; repeat") {
		t.Errorf("%+v", item)
	}
	if c := s.config("ORDERS"); c.Subjects[0] != "order.placed" {
		t.Errorf("%+v", c)
	}
	s.apply(whole)
}

// Streams that are there serve the topics that no stream of the section takes.
func TestTopicsThatHaveAStreamGetNoOther(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ALL", Subjects: []string{"order.>", "dead.>"}, MaxMsgs: 7})
	must(t, err)
	p := s.apply(subscription)
	if item := itemOf(t, p, "ALL"); item.Action != provision.Keep || len(item.Fields) > 0 {
		t.Errorf("%+v", item)
	}
	if all := streamNames(s.messages()); all != "ALL KV_onceish-dedupe KV_onceish-groups KV_onceish-members" {
		t.Error(all)
	}
}

func streamNames(all map[string]uint64) string {
	return strings.Join(slices.Sorted(maps.Keys(all)), " ")
}
