package outbox

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAssign(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	later, before := now.Add(time.Second), now.Add(-time.Second)
	for name, c := range map[string]struct {
		others []string
		held   []Holding
		want   []Grant
	}{
		"all that is free": {nil, []Holding{{}, {Owner: "x", Until: now}}, []Grant{{Partition: 0, Taken: true}, {Partition: 1, Taken: true}}},
		"what others hold": {[]string{"x"}, []Holding{{Owner: "x", Until: later}, {Owner: "x", Until: later}}, nil},
		"the surplus ends": {[]string{"x"}, []Holding{{Owner: "o", Until: later}, {Owner: "o", Until: later}}, []Grant{{Partition: 0}, {Partition: 1, Ending: true}}},
		"a surplus that is over goes": {
			[]string{"x"}, []Holding{{Owner: "o", Until: before}, {Owner: "o", Until: before}}, []Grant{{Partition: 0}},
		},
		"its own before others'": {[]string{"p"}, []Holding{{Until: before}, {Owner: "o", Until: before}}, []Grant{{Partition: 1}}},
		"the remainder by name":  {[]string{"a"}, []Holding{{}, {}, {}}, []Grant{{Partition: 0, Taken: true}}},
	} {
		if got := Assign("o", c.others, c.held, now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestAssignIsFair: owners that ask in turns, and release what ends, come to have every partition,
// each its share.
func TestAssignIsFair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		held := make([]Holding, rapid.IntRange(1, 20).Draw(t, "partitions"))
		owners := make([]string, rapid.IntRange(1, 8).Draw(t, "owners"))
		for i := range owners {
			owners[i] = fmt.Sprint("owner ", i)
		}
		now := time.Unix(1000, 0)
		for i := range held {
			held[i] = Holding{Owner: rapid.SampledFrom(owners).Draw(t, "owner"), Until: now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "until")))}
		}
		for range 2 { // what ends is there for others in the second round
			for i, owner := range owners {
				for _, g := range Assign(owner, slices.Delete(slices.Clone(owners), i, i+1), held, now) {
					if p := &held[g.Partition]; g.Ending {
						*p = Holding{}
					} else {
						*p = Holding{Owner: owner, Until: now.Add(time.Second)}
					}
				}
			}
		}
		count := map[string]int{}
		for _, h := range held {
			count[h.Owner]++
		}
		for i, owner := range owners {
			want := len(held) / len(owners)
			if i < len(held)%len(owners) {
				want++
			}
			if count[owner] != want {
				t.Fatalf("%s has %d of %d partitions, want %d", owner, count[owner], len(held), want)
			}
		}
	})
}
