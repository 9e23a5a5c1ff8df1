package group

import (
	"fmt"
	"slices"
	"time"
)

// world is a topic whose members come, go, take and free partitions as plans say. Each act is one
// compare-and-swap.
type world struct {
	choose func(n int) int // returns 0 to n-1
	mutant planMutant
	now    time.Time
	row    *planRow
	live   map[string]bool
	next   int // number of the next member
	// running is who runs a partition, whatever the plan says.
	running map[int]string
	starts  int
	wake    time.Time
}

// worldTTL is that of the rows of members.
const worldTTL = 30 * time.Second

func newWorld(choose func(int) int, mutant planMutant, partitions int) *world {
	return &world{
		choose: choose, mutant: mutant, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), row: newPlanRow(partitions),
		live: map[string]bool{}, running: map[int]string{},
	}
}

func (w *world) planner() *planner {
	return &planner{now: w.now, ttl: worldTTL, live: func(id string) bool { return w.live[id] }, mutant: w.mutant}
}

// change lets a member change the row, and plan; the rules of a plan must hold before and after.
func (w *world) change(f func(row *planRow)) error {
	if f != nil {
		f(w.row)
	}
	before := w.row.clone()
	p := w.planner()
	p.step(w.row)
	w.wake = p.wake
	return w.checkStep(before, p)
}

// checkStep returns which rule a step of the planner has broken.
func (w *world) checkStep(before *planRow, p *planner) error {
	for i := range before.Slots {
		was, is := before.Slots[i], w.row.Slots[i]
		if w.live[was.Owner] && !was.Freed && (is.Owner != was.Owner || is.Freed) {
			return fmt.Errorf("partition %d is taken away from a live member", i)
		}
		if m := w.row.member(was.Next); was.Next != "" && is.Next != was.Next && p.isActive(m) {
			return fmt.Errorf("partition %d was to move to %s, and is to move to %q", i, was.Next, is.Next)
		}
		if is.Next != "" && !p.isActive(w.row.member(is.Next)) {
			return fmt.Errorf("partition %d is to move to %s, which takes no more", i, is.Next)
		}
	}
	active := p.activeMembers(w.row)
	if n := w.moves(w.row); n > w.moves(before) && n > (len(w.row.Slots)+len(active)-1)/len(active) {
		return fmt.Errorf("%d moves under way at once, with %d members and %d partitions", n, len(active), len(w.row.Slots))
	}
	return nil
}

// moves counts the partitions that run and are to move though their members stay.
func (w *world) moves(row *planRow) (n int) {
	for i, s := range row.Slots {
		m := row.member(w.running[i])
		if s.Next != "" && s.Next != w.running[i] && m != nil && w.live[m.ID] && !m.Draining {
			n++
		}
	}
	return n
}

func (w *world) join(name string) (id string, err error) {
	id = fmt.Sprintf("m%d", w.next)
	w.next++
	w.live[id] = true
	return id, w.change(func(row *planRow) { row.join(id, name, w.now) })
}

// kill ends a member; its row has expired.
func (w *world) kill(id string) error {
	delete(w.live, id)
	for p, owner := range w.running {
		if owner == id {
			delete(w.running, p)
		}
	}
	return w.change(nil)
}

// drain lets a member hand over what it has.
func (w *world) drain(id string) error {
	return w.change(func(row *planRow) {
		if m := row.member(id); m != nil {
			m.Draining = true
		}
	})
}

// due are the partitions that a member frees or takes now.
func (w *world) due() (due []int) {
	for i := range w.row.Slots {
		if w.mustFree(i) || w.mayTake(i) {
			due = append(due, i)
		}
	}
	return due
}

func (w *world) mustFree(i int) bool {
	s := &w.row.Slots[i]
	m := w.row.member(s.Owner)
	return w.live[s.Owner] && s.isOwnedBy(s.Owner) && (s.Next != "" || m != nil && m.Draining)
}

func (w *world) mayTake(i int) bool {
	s := &w.row.Slots[i]
	return s.Next != "" && s.isFree() && w.live[s.Next]
}

// act frees or takes a partition that is due.
func (w *world) act(i int) error {
	s := &w.row.Slots[i]
	if w.mayTake(i) {
		if owner := w.running[i]; owner != "" {
			return fmt.Errorf("partition %d: %s takes it while %s runs", i, s.Next, owner)
		}
		id := s.Next
		w.running[i] = id
		w.starts++
		return w.change(func(*planRow) { s.take(id, w.now) })
	}
	delete(w.running, i)
	return w.change(func(*planRow) { s.free(w.now) })
}

// fail ends a run by itself.
func (w *world) fail() error {
	i := w.choose(len(w.row.Slots))
	s := &w.row.Slots[i]
	if owner := w.running[i]; owner == "" || !s.isOwnedBy(owner) {
		return nil
	}
	delete(w.running, i)
	return w.change(func(*planRow) {
		s.free(w.now)
		s.NotBefore = w.now.Add(time.Second)
	})
}

// settle acts until nothing is due, in any order.
func (w *world) settle() error {
	if err := w.change(nil); err != nil {
		return err
	}
	for steps := 0; ; steps++ {
		if steps > 20*len(w.row.Slots)+100 {
			return fmt.Errorf("not settled after %d steps: %+v", steps, w.row)
		}
		due := w.due()
		switch {
		case len(due) > 0:
			if err := w.act(due[w.choose(len(due))]); err != nil {
				return err
			}
		case !w.wake.IsZero():
			w.now = w.wake
			if err := w.change(nil); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// checkSettled returns what is wrong with a plan when nothing is due.
func (w *world) checkSettled() error {
	n := map[string]int{}
	for _, m := range w.planner().activeMembers(w.row) {
		n[m.ID] = 0
	}
	if len(n) == 0 {
		return nil
	}
	for i := range w.row.Slots {
		owner := w.running[i]
		if _, active := n[owner]; !active || !w.row.Slots[i].isOwnedBy(owner) {
			return fmt.Errorf("partition %d is run by %q, which is not its active owner: %+v", i, owner, w.row.Slots[i])
		}
		n[owner]++
	}
	var counts []int
	for _, c := range n {
		counts = append(counts, c)
	}
	if slices.Max(counts)-slices.Min(counts) > 1 {
		return fmt.Errorf("unbalanced: %v", n)
	}
	return nil
}

// living returns the members that are live, in the order in which they joined.
func (w *world) living() (ids []string) {
	for i := range w.next {
		if id := fmt.Sprintf("m%d", i); w.live[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
