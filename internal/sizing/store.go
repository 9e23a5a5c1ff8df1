package sizing

import (
	"fmt"
	"time"
)

// Store is where marks are kept.
type Store string

// The stores.
const (
	Memory Store = "memory"
	KV     Store = "kv"
	Mongo  Store = "mongo"
)

// Stores are all of them.
func Stores() []Store { return []Store{Memory, KV, Mongo} }

const (
	// DefaultKeyLength is that of order.placed::billing:: and a UUID, nearly.
	DefaultKeyLength = 60
	// MemoryKeys is how many keys the memory store keeps by default.
	MemoryKeys = 1_000_000
	// ServerMemory is what a server is taken to have for marks, in bytes.
	ServerMemory = 64 << 30
)

// footprint is what a mark takes. The files of a bucket keep claims beside the marks that replaced
// them, and its server holds memory that Go's collector has not yet freed. In MongoDB disk and
// index are those of DocumentDB, and the memory is for the indexes, which are slow to read from the
// disk.
func (s Store) footprint() *footprint {
	return map[Store]*footprint{
		Memory: {memory: each{fixed: 150}},
		KV:     {data: each{304, 1}, disk: each{600, 3}, memory: each{fixed: 1100}},
		Mongo:  {data: each{198, 1}, disk: each{510, 4}, index: each{45, 3.5}, memory: each{45, 3.5}},
	}[s]
}

// Load is what a store has to keep marks of.
type Load struct {
	// Rate is events per second, TTL how long their marks are kept.
	Rate float64
	TTL  time.Duration
	// KeyLength is the bytes of topic, group and id with what separates them.
	KeyLength int
}

// Estimate returns what the marks of a load take once the first of them expire.
func (s Store) Estimate(l Load) Size {
	return s.footprint().times(l.Rate*l.TTL.Seconds(), l.KeyLength)
}

// Verdict reports whether the store can keep so much, and why.
func (s Store) Verdict(n Size) (fits bool, why string) {
	switch {
	case s == Memory && n.Keys > MemoryKeys:
		return false, fmt.Sprintf("does not fit: the memory store holds %s keys", Count(MemoryKeys))
	case s == Memory:
		return true, "fits, and is forgotten with its process"
	case s == Mongo && n.Memory > ServerMemory:
		return false, fmt.Sprintf("slow: the indexes do not fit in %s of memory", Bytes(ServerMemory))
	case n.Memory > ServerMemory:
		return false, fmt.Sprintf("does not fit in %s of memory", Bytes(ServerMemory))
	}
	return true, fmt.Sprintf("fits in %s of memory", Bytes(ServerMemory))
}
