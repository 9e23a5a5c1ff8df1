package group

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// live through a random history, and return which rule was broken.
func liveThrough(choose func(int) int, mutant planMutant) error {
	w := newWorld(choose, mutant, 1+choose(12))
	for range 5 + choose(40) {
		if err := w.happen(); err != nil {
			return err
		}
	}
	if err := w.settle(); err != nil {
		return err
	}
	return w.checkSettled()
}

// happen does one random thing.
func (w *world) happen() error {
	living := w.living()
	pick := func() string { return living[w.choose(len(living))] }
	switch what := w.choose(10); {
	case len(living) == 0 || what == 0:
		name := []string{"", "", "a", "b"}[w.choose(4)]
		_, err := w.join(name)
		return err
	case what == 1 && len(living) > 1:
		return w.kill(pick())
	case what == 2:
		return w.drain(pick())
	case what == 3:
		return w.fail()
	case what == 4:
		w.now = w.now.Add(time.Duration(w.choose(30)) * 500 * time.Millisecond)
		return w.change(nil)
	default:
		if due := w.due(); len(due) > 0 {
			return w.act(due[w.choose(len(due))])
		}
		return w.change(nil)
	}
}

// A partition has one owner at a time, moves once at a time, and only when it is freed or its owner
// is gone; few move at once; and when members stay as they are, all are owned, evenly.
func TestPlansKeepTheirRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		if err := liveThrough(choose, mutantNone); err != nil {
			t.Fatal(err)
		}
	})
}

// settled makes a world with members that are settled.
func settled(choose func(int) int, mutant planMutant, names ...string) (*world, error) {
	w := newWorld(choose, mutant, 1+choose(64))
	for _, name := range names {
		if _, err := w.join(name); err != nil {
			return nil, err
		}
	}
	err := w.settle()
	w.starts = 0
	return w, err
}

func nameless(n int) []string { return make([]string, n) }

// moveFewest lets one member join, or leave, and returns an error unless as few partitions have
// moved as it takes.
func moveFewest(choose func(int) int, mutant planMutant) error {
	members := 1 + choose(8)
	w, err := settled(choose, mutant, nameless(members)...)
	if err != nil {
		return err
	}
	var want int
	switch id := w.living()[choose(members)]; choose(3) {
	case 0:
		want = len(w.row.Slots) / (members + 1)
		_, err = w.join("")
	case 1:
		want = countOwned(w, id)
		err = w.kill(id)
	default:
		want = countOwned(w, id)
		err = w.drain(id)
	}
	if members == 1 && len(w.planner().activeMembers(w.row)) == 0 {
		want = 0
	}
	if err := errors.Join(err, w.settle(), w.checkSettled()); err != nil {
		return err
	}
	if w.starts != want {
		return fmt.Errorf("%d partitions of %d moved for one of %d members; want %d", w.starts, len(w.row.Slots), members, want)
	}
	return nil
}

func countOwned(w *world, id string) (n int) {
	for _, owner := range w.running {
		if owner == id {
			n++
		}
	}
	return n
}

func TestAJoinAndALeaveMoveAsFewPartitionsAsPossible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		if err := moveFewest(choose, mutantNone); err != nil {
			t.Fatal(err)
		}
	})
}

// restartNamed restarts a member with a name, in order or by a kill, and returns an error unless
// its successor gets what it had, and nothing else moves.
func restartNamed(choose func(int) int, mutant planMutant) error {
	w, err := settled(choose, mutant, "a", "b", "c")
	if err != nil {
		return err
	}
	before := maps.Clone(w.running)
	gone := w.living()[1]
	if choose(2) == 0 {
		err = w.kill(gone)
	} else {
		err = w.drain(gone)
		for _, i := range w.due() {
			err = errors.Join(err, w.act(i))
		}
		err = errors.Join(err, w.kill(gone))
	}
	w.now = w.now.Add(time.Duration(choose(9)) * time.Second)
	err = errors.Join(err, w.change(nil))
	heir, joined := w.join("b")
	if err := errors.Join(err, joined, w.settle(), w.checkSettled()); err != nil {
		return err
	}
	for i, owner := range before {
		if owner == gone {
			owner = heir
		}
		if w.running[i] != owner {
			return fmt.Errorf("partition %d is run by %s after a restart; want %s", i, w.running[i], owner)
		}
	}
	return nil
}

func TestASuccessorOfTheSameNameGetsItsPartitions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		if err := restartNamed(choose, mutantNone); err != nil {
			t.Fatal(err)
		}
	})
}

// A process that was killed is listed until its row expires. When the one that was started in its
// place drains meanwhile, nothing is planned for the one that was killed.
func TestAPredecessorOfTheSameNameGetsNoPartitions(t *testing.T) {
	t.Parallel()
	w, err := settled(func(n int) int { return min(n-1, 11) }, mutantNone, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	killed := w.living()[1]
	w.now = w.now.Add(time.Second)
	restarted, err := w.join("b")
	if err := errors.Join(err, w.settle(), w.drain(restarted)); err != nil {
		t.Fatal(err)
	}
	if !w.row.owns(restarted) {
		t.Fatalf("%s owns nothing: %+v", restarted, w.row)
	}
	for i, s := range w.row.Slots {
		if s.Owner == restarted && s.Next != "" {
			t.Errorf("partition %d of %s, which drains, is to move to %q: its name waits for a successor", i, restarted, s.Next)
		}
	}
	if err := errors.Join(w.kill(killed), w.settle()); err != nil {
		t.Error(err)
	}
}

// Who is started in the place of a process that was killed gets what that had when its row has
// expired. Until then nothing moves to it: all of that would be one move too many.
func TestASuccessorOfAKilledProcessGetsItsPartitions(t *testing.T) {
	t.Parallel()
	w, err := settled(func(n int) int { return min(n-1, 11) }, mutantNone, "a", "b", "c")
	if err != nil {
		t.Fatal(err)
	}
	killed := w.living()[1]
	had := maps.Clone(w.running)
	maps.DeleteFunc(had, func(_ int, owner string) bool { return owner != killed })
	w.now = w.now.Add(time.Second)
	heir, err := w.join("b")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // its row is still there
		w.now = w.now.Add(time.Second)
		if err := w.change(nil); err != nil || len(w.due()) > 0 {
			t.Fatalf("moves while the killed one is listed: %v: %+v", err, w.row)
		}
	}
	if err := errors.Join(w.kill(killed), w.settle(), w.checkSettled()); err != nil {
		t.Fatal(err)
	}
	for i := range had {
		if w.running[i] != heir {
			t.Errorf("partition %d is run by %s; want %s", i, w.running[i], heir)
		}
	}
	if len(had) == 0 || w.starts != len(had) {
		t.Errorf("%d partitions have moved; want %d", w.starts, len(had))
	}
}

// Two live processes of one name both take part, the later one once it is clear that the other one
// was not killed.
func TestTwoLiveProcessesOfOneNameBothTakePart(t *testing.T) {
	t.Parallel()
	w, err := settled(func(n int) int { return min(n-1, 11) }, mutantNone, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Second)
	joined := w.now
	if _, err := w.join("b"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.settle(), w.checkSettled()); err != nil {
		t.Fatal(err)
	}
	if w.starts != 4 || !w.now.Equal(joined.Add(worldTTL)) {
		t.Errorf("%d partitions have moved, %v after it had joined; want 4, %v", w.starts, w.now.Sub(joined), worldTTL)
	}
}

// Without a successor, a name keeps partitions for ten seconds and no longer.
func TestANameKeepsItsPartitionsForAWhile(t *testing.T) {
	t.Parallel()
	w, err := settled(func(int) int { return 0 }, mutantNone, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	gone := w.running[0]
	if err := w.kill(gone); err != nil {
		t.Fatal(err)
	}
	killed := w.now
	w.now = killed.Add(planGrace - time.Millisecond)
	if err := w.change(nil); err != nil || len(w.due()) > 0 {
		t.Errorf("%v: planned for others within the grace: %+v", err, w.row)
	}
	if err := errors.Join(w.settle(), w.checkSettled()); err != nil {
		t.Error(err)
	}
	if !w.now.Equal(killed.Add(planGrace)) {
		t.Errorf("moved after %v; want %v", w.now.Sub(killed), planGrace)
	}
}

// Several that join within a second are waited for, so that no partition moves twice.
func TestPartitionsMoveOnceForSeveralThatJoin(t *testing.T) {
	t.Parallel()
	w, err := settled(func(n int) int { return min(n-1, 11) }, mutantNone, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := w.join(""); err != nil || len(w.due()) > 0 {
			t.Fatalf("moves at once: %v: %+v", err, w.row)
		}
		w.now = w.now.Add(joinDebounce / 2)
	}
	if err := errors.Join(w.settle(), w.checkSettled()); err != nil {
		t.Fatal(err)
	}
	if w.starts != 9 {
		t.Errorf("%d moves of 12 partitions from one member to four; want 9", w.starts)
	}
}

// Members that join all the time do not keep those who wait from their share.
func TestWhoHasJoinedGetsItsShareThoughOthersJoinAllTheTime(t *testing.T) {
	t.Parallel()
	w, err := settled(func(n int) int { return min(n-1, 11) }, mutantNone, "")
	if err != nil {
		t.Fatal(err)
	}
	began := w.now
	for len(w.due()) == 0 {
		if _, err := w.join(""); err != nil {
			t.Fatal(err)
		}
		if w.now = w.now.Add(joinDebounce / 2); w.now.Sub(began) > 2*joinPatience {
			t.Fatal("nothing moves")
		}
	}
}

// Planners that break a rule are noticed.
func TestPlansThatBreakARuleAreNoticed(t *testing.T) {
	t.Parallel()
	for name, mutant := range map[string]planMutant{
		"takes what is owned": mutantTakesOwned, "moves all at once": mutantMovesAllAtOnce, "unbalanced": mutantUnbalanced, "ignores names": mutantIgnoresNames,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(1000) {
				choose := rand.New(rand.NewPCG(seed, 0)).IntN
				for _, property := range []func(func(int) int, planMutant) error{liveThrough, moveFewest, restartNamed} {
					if err := property(choose, mutant); err != nil {
						t.Log(seed, err)
						return
					}
				}
			}
			t.Error("not noticed")
		})
	}
}
