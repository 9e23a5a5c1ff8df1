package admin

import (
	"slices"
	"time"
)

// GroupHistory is what earlier overviews have said of a group. All lists are as long as times.
type GroupHistory struct {
	Group   string    `json:"group"`
	Times   []float64 `json:"times" doc:"seconds since 1970"`
	Rates   []float64 `json:"rates" doc:"events per second"`
	Waiting []float64 `json:"waiting" doc:"events that were pending or unsettled"`
}

// What is kept of earlier overviews.
const (
	historyFor       = 15 * time.Minute
	maxHistory       = 450 // points of a group
	maxHistoryGroups = 50
)

// historyRing keeps the numbers of overviews.
type historyRing struct {
	groups []*GroupHistory
	lastAt time.Time // when the groups of the last one were read
}

// add keeps the numbers of an overview, and forgets those that are old.
func (h *historyRing) add(o *Overview) {
	if !o.GroupsAt.After(h.lastAt) {
		return // nothing new is known
	}
	h.lastAt = o.GroupsAt
	for i := range o.Groups {
		g := &o.Groups[i]
		at := slices.IndexFunc(h.groups, func(k *GroupHistory) bool { return k.Group == g.Group })
		if at < 0 && len(h.groups) == maxHistoryGroups {
			continue
		}
		if at < 0 {
			at, h.groups = len(h.groups), append(h.groups, &GroupHistory{Group: g.Group})
		}
		h.groups[at].add(seconds(o.GroupsAt), g.Rate, float64(g.Pending+g.Unsettled))
	}
	oldest := seconds(o.GroupsAt.Add(-historyFor))
	for _, k := range h.groups {
		k.forget(oldest)
	}
	h.groups = slices.DeleteFunc(h.groups, func(k *GroupHistory) bool { return len(k.Times) == 0 })
}

func (k *GroupHistory) add(at, rate, waiting float64) {
	k.Times, k.Rates, k.Waiting = append(k.Times, at), append(k.Rates, rate), append(k.Waiting, waiting)
}

// forget removes the points before a time, and the oldest ones that are too many.
func (k *GroupHistory) forget(before float64) {
	n := max(0, len(k.Times)-maxHistory)
	for n < len(k.Times) && k.Times[n] < before {
		n++
	}
	k.Times, k.Rates, k.Waiting = slices.Delete(k.Times, 0, n), slices.Delete(k.Rates, 0, n), slices.Delete(k.Waiting, 0, n)
}

// list returns a copy.
func (h *historyRing) list() []GroupHistory {
	out := make([]GroupHistory, len(h.groups))
	for i, k := range h.groups {
		out[i] = GroupHistory{k.Group, slices.Clone(k.Times), slices.Clone(k.Rates), slices.Clone(k.Waiting)}
	}
	return out
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
