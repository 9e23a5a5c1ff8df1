package testbed

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// Where marks are kept.
const (
	// StoreKV is a key-value bucket on the same NATS.
	StoreKV = "kv"
	// StoreMongo is a MongoDB collection.
	StoreMongo = "mongo"
	// StoreMemory is the memory of a worker process.
	StoreMemory = "memory"
)

// Bed names a bed and its servers, to a worker process as JSON: it may hold credentials.
type Bed struct {
	// Name of the stream, the bucket or the namespace of collections, and of the group. It is
	// fresh, so that its pauses are no other group's.
	Name string `json:"name"`
	// NATS is the URL of a server with JetStream.
	NATS string `json:"nats"`
	// Proxied servers are reached through proxies alone: other servers of a cluster, which they
	// advertise, are not connected to.
	Proxied bool `json:"proxied,omitempty"`
	// Store is one of StoreKV, StoreMongo and StoreMemory.
	Store string `json:"store"`
	// Mongo is the URI for StoreMongo. Its database, or "onceish", gets the collections.
	Mongo string `json:"mongo,omitempty"`
}

// FreshName returns a name that nothing on any server has yet, such as "onceish-demo-…".
func FreshName(prefix string) string { return prefix + "-" + strings.ToLower(rand.Text()[:12]) }

// Topic is where the events are, in the stream.
func (b *Bed) Topic() string { return b.Name + ".events" }

// DeadLetters is the topic of the dead letters, in the same stream.
func (b *Bed) DeadLetters() string { return b.Name + ".dead" }

// ConsumerName is the name of the group's consumer.
func (b *Bed) ConsumerName() string { return natsbus.ConsumerName(b.Name, b.Topic()) }

// Validate checks what a worker process was told.
func (b *Bed) Validate() error {
	if err := CheckStore(b.Store, b.Mongo); err != nil {
		return err
	}
	return bus.ValidTopic(b.Topic())
}

// CheckStore reports an error if store is no store, or is StoreMongo and has no URI.
func CheckStore(store, mongo string) error {
	stores := []string{StoreKV, StoreMongo, StoreMemory}
	switch {
	case !slices.Contains(stores, store):
		return fmt.Errorf("the store %q is none of %q", store, stores)
	case store == StoreMongo && mongo == "":
		return fmt.Errorf("the store mongo needs the URI of a MongoDB")
	}
	return nil
}

// storeURL is where marks are kept, for worker.Connect.
func (b *Bed) storeURL() string {
	switch b.Store {
	case StoreMongo:
		return b.Mongo
	case StoreMemory:
		return "memory:"
	}
	return "nats:"
}
