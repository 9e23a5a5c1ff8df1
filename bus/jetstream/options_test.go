package jetstream

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestOptionsDefaults(t *testing.T) {
	t.Parallel()
	var none *Options
	got, err := none.complete()
	if err != nil {
		t.Fatal(err)
	}
	if got.MaxUnsettled != 20_000 || got.PublishWindow != 4_000 || got.PublishTimeout != 5*time.Second ||
		got.APITimeout != 5*time.Second || got.CheckInterval != 5*time.Second || got.Logger == nil {
		t.Errorf("defaults: %+v", got)
	}
}

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"APIPrefix":            {APIPrefix: "a", Domain: "b"},
		"Options.Stream":       {Stream: "a.b"},
		"BindOnly":             {BindOnly: true, Provision: &Provision{}},
		"MaxUnsettled is -1":   {MaxUnsettled: -1},
		"MaxAckPending is 3":   {MaxUnsettled: 4, MaxAckPending: 3},
		"PublishWindow is -1":  {PublishWindow: -1},
		"PublishTimeout is 1n": {PublishTimeout: 1},
		"APITimeout is -1s":    {APITimeout: -time.Second},
		"CheckInterval is 1µs": {CheckInterval: time.Microsecond},
		"Provision.Name":       {Provision: &Provision{Name: "a b"}},
		"Replicas is 6":        {Provision: &Provision{Replicas: 6}},
		"MaxAge is -1s":        {Provision: &Provision{MaxAge: -time.Second}},
		"Duplicates is 1ns":    {Provision: &Provision{Duplicates: 1}},
		"longer than":          {Provision: &Provision{MaxAge: time.Second, Duplicates: time.Minute}},
		"Provision.Subjects":   {Provision: &Provision{Subjects: []string{"a..b"}}},
	} {
		if _, err := o.complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want an error with %q", o, err, want)
		}
	}
}

var legal = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func FuzzNames(f *testing.F) {
	f.Add("g", "orders.new", "g", "orders_new")
	f.Add("a", "b-c", "a-b", "c")
	f.Add("", "12:", "12:", "")
	f.Add("ü", "a.>", "u", "a.*")
	f.Fuzz(func(t *testing.T, group1, topic1, group2, topic2 string) {
		a, b := ConsumerName(group1, topic1), ConsumerName(group2, topic2)
		if (a == b) != (group1 == group2 && topic1 == topic2) {
			t.Errorf("(%q, %q) is %q, (%q, %q) is %q", group1, topic1, a, group2, topic2, b)
		}
		if !legal.MatchString(a) || len(a) > 128 {
			t.Errorf("illegal name %q", a)
		}
		s1, s2 := StreamName(topic1), StreamName(topic2)
		if (s1 == s2) != (topic1 == topic2) || !legal.MatchString(s1) || len(s1) > 128 {
			t.Errorf("topic %q is %q, topic %q is %q", topic1, s1, topic2, s2)
		}
	})
}
