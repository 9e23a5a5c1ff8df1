package group

import (
	"slices"
	"time"
)

// Times of the planner.
const (
	// planGrace is how long the partitions of a member with a name wait for its successor.
	planGrace = 10 * time.Second
	// joinDebounce is how long moves to members that have joined wait for others to join;
	// joinPatience bounds that.
	joinDebounce = time.Second
	joinPatience = 5 * time.Second
)

// planMutant is a planner that breaks a rule. Tests show that they notice.
type planMutant int

const (
	mutantNone           planMutant = iota
	mutantTakesOwned                // a partition is taken before its owner has freed it
	mutantMovesAllAtOnce            // moves for joins are not bounded
	mutantUnbalanced                // nothing moves to members that join
	mutantIgnoresNames              // a name keeps nothing
)

// planner decides who owns which partition next. Each member runs it; compare-and-swap decides
// whose plan holds. It is pure.
type planner struct {
	now    time.Time
	ttl    time.Duration // of the members' rows
	live   func(member string) bool
	mutant planMutant

	wake time.Time // when something is due next; zero: nothing
}

// step plans what can be planned now.
func (p *planner) step(row *planRow) {
	p.retireMembers(row)
	p.dropMoves(row)
	p.planFreeSlots(row)
	p.planBalance(row)
}

// wakeAt notes that something is due at a time, unless that has passed, which it reports.
func (p *planner) wakeAt(at time.Time) (passed bool) {
	if !at.After(p.now) {
		return true
	}
	if p.wake.IsZero() || at.Before(p.wake) {
		p.wake = at
	}
	return false
}

func (p *planner) isActive(m *planMember) bool { return m != nil && !m.Draining && p.live(m.ID) }

func (p *planner) activeMembers(row *planRow) (active []*planMember) {
	for i := range row.Members {
		if m := &row.Members[i]; p.isActive(m) {
			active = append(active, m)
		}
	}
	return active
}

// successor returns the active member that has the name of one that is not and has joined after
// it, or nil. One that had joined before was killed, maybe, and is listed until its row expires.
func (p *planner) successor(row *planRow, m *planMember) *planMember {
	if m.Name == "" || p.mutant == mutantIgnoresNames {
		return nil
	}
	for _, other := range p.activeMembers(row) {
		if other.ID != m.ID && other.Name == m.Name && !other.Joined.Before(m.Joined) {
			return other
		}
	}
	return nil
}

// replacesKilled reports whether a member has joined in the place of one of its name that is still
// listed, for it was killed, maybe: then it gets the partitions of that, and no others before. If
// the other one is still listed after its row's TTL, both take part.
func (p *planner) replacesKilled(row *planRow, m *planMember) bool {
	isOlder := func(other *planMember) bool { return other.Name == m.Name && other.Joined.Before(m.Joined) }
	return m.Name != "" && p.mutant != mutantIgnoresNames && slices.ContainsFunc(p.activeMembers(row), isOlder) &&
		!p.wakeAt(m.Joined.Add(p.ttl))
}

// retireMembers removes members that are gone, or drained, and frees what they owned. Those with a
// name keep it for a while.
func (p *planner) retireMembers(row *planRow) {
	for _, m := range slices.Clone(row.Members) {
		if p.live(m.ID) && (!m.Draining || row.owns(m.ID)) {
			row.member(m.ID).Left = time.Time{}
			continue
		}
		if m.Left.IsZero() {
			m.Left = p.now
			row.member(m.ID).Left = m.Left
		}
		if p.keepsName(row, &m) {
			p.freeForNext(row, &m)
			continue
		}
		p.retire(row, &m)
	}
}

func (p *planner) keepsName(row *planRow, m *planMember) bool {
	return m.Name != "" && p.mutant != mutantIgnoresNames && p.successor(row, m) == nil && !p.wakeAt(m.Left.Add(planGrace))
}

// freeForNext frees what a member that is gone owned and somebody else is to own already.
func (p *planner) freeForNext(row *planRow, m *planMember) {
	for i := range row.Slots {
		if s := &row.Slots[i]; s.Owner == m.ID && s.Next != "" && !p.live(m.ID) {
			s.Owner, s.Freed = "", false
		}
	}
}

func (p *planner) retire(row *planRow, m *planMember) {
	heir := p.successor(row, m)
	for i := range row.Slots {
		s := &row.Slots[i]
		if s.Owner != m.ID {
			continue
		}
		s.Owner, s.Freed = "", false
		if heir != nil && s.Next == "" && p.hasRoom(row, heir) {
			s.Next, s.Since = heir.ID, p.now
		}
	}
	row.Members = slices.DeleteFunc(row.Members, func(other planMember) bool { return other.ID == m.ID })
}

// hasRoom reports whether a member may get another partition without one too many.
func (p *planner) hasRoom(row *planRow, m *planMember) bool {
	return loads(row)[m.ID] < moveBound(row, len(p.activeMembers(row)))
}

// moveBound is how many partitions a member has at most when the plan is balanced. So many may be
// moved at once.
func moveBound(row *planRow, members int) int {
	return (len(row.Slots) + members - 1) / max(members, 1)
}

// loads counts the partitions that each member owns, or is to own, when all moves are done.
func loads(row *planRow) map[string]int {
	n := make(map[string]int, len(row.Members))
	for i := range row.Slots {
		switch s := &row.Slots[i]; {
		case s.Next != "":
			n[s.Next]++
		case !s.isFree():
			n[s.Owner]++
		}
	}
	return n
}

// dropMoves forgets moves to members that take no more. Who has seen that its partition is to move
// frees it all the same.
func (p *planner) dropMoves(row *planRow) {
	for i := range row.Slots {
		if s := &row.Slots[i]; s.Next != "" && !p.isActive(row.member(s.Next)) {
			s.Next = ""
		}
	}
}

// planFreeSlots plans slots without an owner, and those of members that drain, for the members that
// have the fewest.
func (p *planner) planFreeSlots(row *planRow) {
	active, n := p.activeMembers(row), loads(row)
	if len(active) == 0 {
		return
	}
	for i := range row.Slots {
		s := &row.Slots[i]
		if !p.needsOwner(row, s) {
			continue
		}
		to := leastLoaded(active, n, s.Owner)
		if owner := row.member(s.Owner); owner != nil && owner.Draining {
			if heir := p.successor(row, owner); heir != nil && p.hasRoom(row, heir) {
				to = heir.ID
			}
		}
		s.Next, s.Since = to, p.now
		n[to]++
	}
}

func (p *planner) needsOwner(row *planRow, s *slot) bool {
	switch {
	case s.Next != "":
		return false
	case s.isUnknown() && !row.Hold.IsZero() && !p.wakeAt(row.Hold):
		return false
	case s.Owner == "":
		return p.wakeAt(s.NotBefore)
	}
	owner := row.member(s.Owner)
	if owner == nil || p.isActive(owner) {
		return s.Freed && p.wakeAt(s.NotBefore)
	}
	return owner.Name == "" || p.mutant == mutantIgnoresNames || p.successor(row, owner) != nil
}

// leastLoaded returns the member with the fewest partitions; of several, the preferred one.
func leastLoaded(active []*planMember, n map[string]int, preferred string) string {
	least := active[0].ID
	for _, m := range active {
		if n[m.ID] < n[least] || n[m.ID] == n[least] && m.ID == preferred {
			least = m.ID
		}
	}
	return least
}

// planBalance moves partitions from those who have the most to those who have the fewest, as few as
// it takes, and a bounded number at once.
func (p *planner) planBalance(row *planRow) {
	active, n := p.activeMembers(row), loads(row)
	if len(active) < 2 || p.mutant == mutantUnbalanced || !p.hasJoined(row, active, n) {
		return
	}
	takers := slices.DeleteFunc(slices.Clone(active), func(m *planMember) bool { return p.replacesKilled(row, m) })
	for room := moveBound(row, len(active)) - p.movesUnderWay(row); room > 0 || p.mutant == mutantMovesAllAtOnce; room-- {
		to := leastLoaded(takers, n, "")
		from := p.mostLoaded(row, active, n)
		if from == nil || n[from.Owner]-n[to] < 2 {
			return
		}
		n[from.Owner]--
		n[to]++
		from.Next, from.Since = to, p.now
		if p.mutant == mutantTakesOwned {
			from.Freed = true
		}
	}
}

// mostLoaded returns a slot that can move of a member that has the most, or nil.
func (p *planner) mostLoaded(row *planRow, active []*planMember, n map[string]int) *slot {
	most := 0
	for _, m := range active {
		most = max(most, n[m.ID])
	}
	for i := range row.Slots {
		s := &row.Slots[i]
		if s.Next == "" && !s.isFree() && n[s.Owner] == most && p.isActive(row.member(s.Owner)) {
			return s
		}
	}
	return nil
}

// movesUnderWay counts the partitions that one active member hands over to another.
func (p *planner) movesUnderWay(row *planRow) (n int) {
	for i := range row.Slots {
		if s := &row.Slots[i]; s.Next != "" && s.Next != s.Owner && p.isActive(row.member(s.Owner)) {
			n++
		}
	}
	return n
}

// hasJoined reports whether all have joined that are about to: nobody has just now, or who has too
// little has waited for long enough.
func (p *planner) hasJoined(row *planRow, active []*planMember, n map[string]int) bool {
	var last time.Time
	for _, m := range active {
		if n[m.ID] < len(row.Slots)/len(active) && p.now.Sub(m.Joined) >= joinPatience {
			return true
		}
		if m.Joined.After(last) {
			last = m.Joined
		}
	}
	return p.wakeAt(last.Add(joinDebounce))
}
