package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// Kinds of faults.
const (
	KindKill     = "kill"     // a process ends by SIGKILL, and is replaced
	KindFreeze   = "freeze"   // a process stands still for a while
	KindDrain    = "drain"    // a process ends in order, and is replaced
	KindJoin     = "join"     // a process more works for a while, with an order over all processes
	KindNATS     = "nats"     // trouble between processes and NATS
	KindMongo    = "mongo"    // trouble between processes and MongoDB
	KindConsumer = "consumer" // the group's consumer is deleted
	KindRestart  = "restart"  // NATS is killed, and started again after a while
)

// Kinds are all kinds of faults.
func Kinds() []string {
	return []string{KindKill, KindFreeze, KindDrain, KindJoin, KindNATS, KindMongo, KindConsumer, KindRestart}
}

// What a network does in a fault.
const (
	modeCut    = "cut"    // connections end; new ones are made
	modeReset  = "reset"  // the same, as if the other side had crashed
	modeRefuse = "refuse" // connections end, and new ones as soon as they are made
	modeDelay  = "delay"  // bytes arrive later
	modeHole   = "hole"   // bytes do not arrive, and nobody is told
)

// everyWorker is the victim of a fault that hits all processes.
const everyWorker = -1

// Fault is a fault of a schedule.
type Fault struct {
	// Kind is one of Kinds.
	Kind string `json:"kind"`
	// Mode is what the network does, for KindNATS and KindMongo.
	Mode string `json:"mode,omitempty"`
	// Victim is the number of a worker, from 0; -1: all workers, or the server.
	Victim int `json:"victim"`
	// At is when it begins, after the first event; Length is how long it lasts. Zero: it is a
	// moment.
	At     time.Duration `json:"-"`
	Length time.Duration `json:"-"`
	// ToServer and ToClient are the directions of a delay or a hole; Delay is how long bytes take.
	ToServer bool          `json:"to_server,omitempty"`
	ToClient bool          `json:"to_client,omitempty"`
	Delay    time.Duration `json:"-"`
}

// end is when a fault is over.
func (f *Fault) end() time.Duration { return f.At + f.Length }

// isNetwork reports whether it is a fault of connections.
func (f *Fault) isNetwork() bool { return f.Kind == KindNATS || f.Kind == KindMongo }

// hits reports whether the fault is one of a worker's.
func (f *Fault) hits(worker int) bool { return f.Victim == everyWorker || f.Victim == worker }

// hampersClaims reports whether a worker may lose claims because of the fault, or partitions, which
// it owns by what it stores in NATS.
func (f *Fault) hampersClaims(o *Options) bool {
	switch f.Kind {
	case KindFreeze:
		return true
	case KindMongo:
		return o.Store == testbed.StoreMongo
	case KindNATS, KindRestart:
		return o.Store == testbed.StoreKV || o.sharesTopic()
	}
	return false
}

// String says what happens, for people.
func (f *Fault) String() string {
	who := fmt.Sprintf("worker %d", f.Victim+1)
	if f.Victim == everyWorker {
		who = "all workers"
	}
	length := roundTime(f.Length)
	switch f.Kind {
	case KindKill:
		return "kill " + who
	case KindFreeze:
		return fmt.Sprintf("freeze %s for %v", who, length)
	case KindDrain:
		return "drain " + who
	case KindJoin:
		return fmt.Sprintf("let another worker join beside %s, and drain it after %v", who, length)
	case KindConsumer:
		return "delete the group's consumer"
	case KindRestart:
		return fmt.Sprintf("kill NATS, and start it again after %v", length)
	}
	server := "NATS"
	if f.Kind == KindMongo {
		server = "MongoDB"
	}
	return f.networkText(who, server, length)
}

func (f *Fault) networkText(who, server string, length time.Duration) string {
	from, to := who, server
	way := "from %s to %s"
	switch {
	case f.ToServer && f.ToClient:
		way = "between %s and %s"
	case f.ToClient:
		from, to = server, who
	}
	way = fmt.Sprintf(way, from, to)
	switch f.Mode {
	case modeDelay:
		return fmt.Sprintf("delay what goes %s by %v for %v", way, roundTime(f.Delay), length)
	case modeHole:
		return fmt.Sprintf("let nothing through %s for %v", way, length)
	case modeRefuse:
		return fmt.Sprintf("refuse connections of %s to %s for %v", who, server, length)
	}
	return fmt.Sprintf("%s the connections of %s to %s", f.Mode, who, server)
}

func roundTime(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// CheckKinds returns the kinds that a list names, "all" for those that are possible, or an error
// that says what it has instead. shared is an order over all processes.
func CheckKinds(list []string, store string, ownServer, shared bool) ([]string, error) {
	possible := Kinds()
	if !shared {
		possible = slices.DeleteFunc(possible, func(k string) bool { return k == KindJoin })
	}
	if store != testbed.StoreMongo {
		possible = slices.DeleteFunc(possible, func(k string) bool { return k == KindMongo })
	}
	if !ownServer {
		possible = slices.DeleteFunc(possible, func(k string) bool { return k == KindRestart })
	}
	if len(list) == 0 || len(list) == 1 && list[0] == "all" {
		return possible, nil
	}
	for _, k := range list {
		switch {
		case !slices.Contains(Kinds(), k):
			return nil, fmt.Errorf("there is no fault %q: choose some of %s, or all", k, strings.Join(Kinds(), ", "))
		case k == KindMongo && store != testbed.StoreMongo:
			return nil, fmt.Errorf("the fault mongo needs the store mongo, and the store is %s", store)
		case k == KindJoin && !shared:
			return nil, fmt.Errorf("the fault join moves partitions, and there are none: add --order partitions:16, or exclusive")
		case k == KindRestart && !ownServer:
			return nil, fmt.Errorf("the fault restart kills a NATS server, and chaos did not start this one: leave out restart or --nats")
		}
	}
	kinds := slices.Clone(list)
	slices.Sort(kinds)
	return slices.DeleteFunc(possible, func(k string) bool { return !slices.Contains(kinds, k) }), nil
}
