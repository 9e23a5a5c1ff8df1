package outbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Status is what has become of a row.
type Status uint8

const (
	// Pending: to be published, now or after a backoff.
	Pending Status = iota + 1
	// Sent: the bus has confirmed it.
	Sent
	// Dead: given up on. It stays until an Admin retries or drops it.
	Dead
	// Scheduled: due at a later time. It is no backlog, and holds nothing up. See Schedules.
	Scheduled
)

var statusNames = []string{Pending: "pending", Sent: "sent", Dead: "dead", Scheduled: "scheduled"}

// Statuses are all of them: dead ones, which want attention, first.
func Statuses() []Status { return []Status{Dead, Pending, Scheduled, Sent} }

// ParseStatus returns the status of a name, or 0.
func ParseStatus(name string) Status {
	for _, s := range Statuses() {
		if s.String() == name {
			return s
		}
	}
	return 0
}

// String is the status's name in lower case, as rows and logs have it.
func (s Status) String() string { return nameOf(s, statusNames) }

func nameOf[T ~uint8](value T, names []string) string {
	if int(value) < len(names) {
		return cmp.Or(names[value], "unknown")
	}
	return "unknown"
}

// Row is an event in the outbox. Writers give Event and, if they keep an order of their own, Seq,
// or if it is due later, At; the store fills in the rest.
type Row struct {
	// ID is what the store knows the row by: RowID of the event as a rule.
	ID string
	// Event as it will be published. Add assigns an id, a UUID of version 7, where there is none.
	Event bus.Event
	// Seq orders the rows of one key; equal ones follow their ID. Zero when added: the store
	// assigns one that is larger than all it has assigned in this process, and grows with the
	// store's time. Either all rows of a key are added with a Seq, such as the version of what the
	// key names, or none is. At most math.MaxInt64.
	Seq uint64
	// At is from when on it may be published, by the store's clock, in whole milliseconds. Zero,
	// and a time that has come: at once. At most bus.MaxDelay ahead, and only without a Seq: the
	// scheduled rows of a key are ordered by At. Rows of the key without an At do not wait for
	// them.
	At time.Time
	// Hash is Hash(Event.Key, Event.ID).
	Hash uint64
	// Status is what has become of it.
	Status Status
	// Version grows by one with every write to the row. Settle is conditional on it.
	Version uint64
	// Attempts is how often the bus refused it.
	Attempts int
	// After (Pending) is what is left of its backoff, on the store's clock; (Scheduled) how long it
	// takes until it is due, which a writer may give in place of At. Zero: due.
	After time.Duration
	// Reason is why it is dead, or why the last attempt failed.
	Reason string
	// Copies is how often it was made pending again after it was sent. The bus is to store each
	// copy, though it may know the event: it may have lost what it stored.
	Copies uint64
	// Added is when it was added, by the store's clock.
	Added time.Time
	// Sent is when it was marked as sent, by the store's clock. Zero: it is not.
	Sent time.Time
}

// outgoingEvent is the event as it is published: a copy says that it is one.
func (r *Row) outgoingEvent() bus.Event {
	if r.Copies == 0 {
		return r.Event
	}
	c, _ := r.Event.Control() // stores keep none of another event
	c.Copy = strconv.FormatUint(r.Copies, 10)
	return r.Event.WithControl(c)
}

// rowOverhead is about what a row takes in memory beside what is its event's.
const rowOverhead = 256

// Size is about what a row takes in memory, in bytes. Pages and drainers are bounded by it.
func Size(e *bus.Event) int {
	n := rowOverhead + len(e.ID) + len(e.Topic) + len(e.Key) + len(e.Type) + len(e.Source) + len(e.ContentType) + len(e.Data)
	for name, values := range e.Headers {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}

// MaxReason bounds the reason that a store keeps, in bytes.
const MaxReason = dedupe.MaxReason

// MaxHash is the largest Hash: hashes have 63 bits, so that stores may keep them as signed numbers.
const MaxHash = math.MaxInt64

// Hash places a row: rows of one key share it. Rows without a key are spread by their id. It never
// changes, for rows outlive versions of this package.
func Hash(key, id string) uint64 {
	sum := sha256.Sum256([]byte(cmp.Or(key, id)))
	return binary.BigEndian.Uint64(sum[:8]) >> 1
}

// Partition returns the hashes, first and last inclusive, of the i-th of n partitions, from 0.
// Together they are all hashes from 0 to MaxHash, and each is in one.
func Partition(i, n int) (first, last uint64) {
	return partitionStart(i, n), partitionStart(i+1, n) - 1
}

// partitionStart is i * 2^63 / n.
func partitionStart(i, n int) uint64 {
	hi, lo := bits.Mul64(uint64(i), 1<<63)
	q, _ := bits.Div64(hi, lo, uint64(n))
	return q
}

// PartitionOf returns which of n partitions a hash is in.
func PartitionOf(hash uint64, n int) int {
	hi, lo := bits.Mul64(hash, uint64(n))
	i := int(hi<<1 | lo>>63)
	if first, _ := Partition(i, n); first > hash {
		return i - 1
	}
	if _, last := Partition(i, n); last < hash {
		return i + 1
	}
	return i
}

// DefaultPartitions is how many partitions a store has unless it was made with another number.
const DefaultPartitions = 64
