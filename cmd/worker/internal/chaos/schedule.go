package chaos

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Streams of random numbers of one seed.
const (
	streamEvents = iota
	streamFaults
	streamRuns
)

func newRandom(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // to be repeated, not to be secret
}

// schedule draws faults one after the other. It is a function of the seed and the options alone.
type schedule struct {
	o      *Options
	random *rand.Rand
	deck   []string // kinds that are still to be drawn before one is drawn a second time
	faults []Fault
}

// newSchedule returns the faults of a run, in the order in which they begin. At each moment one
// worker at least is left alone, if there are several, but for faults that hit all: these are one
// at a time, with a lease of calm between them. All are over when the time is.
func newSchedule(o *Options) []Fault {
	s := &schedule{o: o, random: newRandom(o.Seed, streamFaults)}
	for at := o.Lease / 2; at < o.Duration; {
		f, fits := s.placeFault(s.drawFault(at))
		if fits {
			s.faults = append(s.faults, f)
		} else {
			s.deck = append(s.deck, f.Kind) // its turn comes later
		}
		at += s.between(o.Lease/10, o.Lease)
	}
	slices.SortStableFunc(s.faults, func(a, b Fault) int { return int(a.At - b.At) })
	return s.faults
}

// between draws a time.
func (s *schedule) between(from, to time.Duration) time.Duration {
	return from + time.Duration(s.random.Int64N(int64(to-from)))
}

// drawFault draws the next fault, to begin at a time.
func (s *schedule) drawFault(at time.Duration) Fault {
	f := Fault{Kind: s.drawKind(), At: at, Victim: s.random.IntN(s.o.Processes)}
	switch f.Kind {
	case KindFreeze, KindJoin:
		f.Length = s.drawLength()
	case KindNATS, KindMongo:
		s.drawNetwork(&f)
	case KindConsumer:
		f.Victim = everyWorker
	case KindRestart:
		f.Victim, f.Length = everyWorker, s.between(s.o.Lease/10, s.o.Lease*3/2)
	}
	return f
}

// drawKind deals the kinds like cards: each comes about as often as the others.
func (s *schedule) drawKind() string {
	if len(s.deck) == 0 {
		s.deck = slices.Clone(s.o.Faults)
		s.random.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
	}
	kind := s.deck[0]
	s.deck = s.deck[1:]
	return kind
}

// drawLength is shorter than a lease, or longer.
func (s *schedule) drawLength() time.Duration {
	if s.random.IntN(2) == 0 {
		return s.between(s.o.Lease/10, s.o.Lease*8/10)
	}
	return s.between(s.o.Lease*12/10, s.o.Lease*5/2)
}

func (s *schedule) drawNetwork(f *Fault) {
	f.Mode = []string{modeCut, modeReset, modeRefuse, modeDelay, modeHole, modeHole}[s.random.IntN(6)]
	if s.random.IntN(5) == 0 {
		f.Victim = everyWorker
	}
	switch f.Mode {
	case modeRefuse:
		f.Length = s.drawLength()
	case modeDelay, modeHole:
		f.Length = s.drawLength()
		way := 1 + s.random.IntN(3)
		f.ToServer, f.ToClient = way&1 > 0, way&2 > 0
	}
	if f.Mode == modeDelay {
		f.Delay = s.between(s.o.Lease/100, s.o.Lease/6)
	}
}

// placeFault lets a fault begin later until it fits among the others.
func (s *schedule) placeFault(f Fault) (_ Fault, fits bool) {
	latest := min(f.At+4*s.o.Lease, s.o.Duration-f.Length)
	for ; f.At <= latest; f.At += s.o.Lease / 10 {
		if !slices.ContainsFunc(s.faults, func(other Fault) bool { return s.excludes(&f, &other) }) && s.leavesOne(&f) {
			return f, true
		}
	}
	return f, false
}

// occupied is how long a fault occupies its victim: what is started again takes a moment.
func (s *schedule) occupied(f *Fault) (from, to time.Duration) {
	return f.At, max(f.end(), f.At+s.o.Lease/2)
}

// excludes reports whether two faults must not overlap: those that hit all, and those of one
// process or of one connection.
func (s *schedule) excludes(f, other *Fault) bool {
	from, to := s.occupied(f)
	from2, to2 := s.occupied(other)
	if f.Victim == everyWorker && other.Victim == everyWorker {
		to, to2 = to+s.o.Lease, to2+s.o.Lease
	}
	if to <= from2 || to2 <= from {
		return false
	}
	switch {
	case f.Victim == everyWorker && other.Victim == everyWorker:
		return true
	case f.isNetwork() || other.isNetwork():
		return f.Kind == other.Kind && (f.hits(other.Victim) || other.hits(f.Victim))
	}
	return f.Victim == other.Victim
}

// leavesOne reports whether a worker at least is left alone by the fault and those that overlap it,
// not counting faults that hit all.
func (s *schedule) leavesOne(f *Fault) bool {
	if f.Victim == everyWorker || s.o.Processes == 1 {
		return true
	}
	from, to := s.occupied(f)
	hit := map[int]bool{f.Victim: true}
	for i := range s.faults {
		other := &s.faults[i]
		if from2, to2 := s.occupied(other); other.Victim != everyWorker && from2 < to && from < to2 {
			hit[other.Victim] = true
		}
	}
	return len(hit) < s.o.Processes
}
