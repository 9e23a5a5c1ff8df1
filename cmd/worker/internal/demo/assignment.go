package demo

import (
	"bufio"
	"encoding/json"
	"fmt"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// workerAssignment is what a worker process is told, as a line on its standard input: it may
// hold credentials.
type workerAssignment struct {
	// Name of what was made for this demo, and of the workers' group: its pauses are no other
	// demo's.
	Name    string `json:"name"`
	NATS    string `json:"nats"`
	Store   string `json:"store"`
	Mongo   string `json:"mongo,omitempty"`
	Atomic  bool   `json:"atomic,omitempty"`
	Journal string `json:"journal"`
	Seed    uint64 `json:"seed"`
	// Crashes at which an event is given up: kills are no fault of the event's.
	Crashes int `json:"crashes"`
}

// The last line that a worker process is told: finish, and end. If its input ends before, the
// demo has died.
const endLine = "end"

func (a *workerAssignment) topicName() string   { return a.Name + ".events" }
func (a *workerAssignment) deadLetters() string { return a.Name + ".dead" }

// storeURL is where marks are kept, for worker.Connect.
func (a *workerAssignment) storeURL() string {
	switch a.Store {
	case StoreMongo:
		return a.Mongo
	case StoreMemory:
		return "memory:"
	}
	return "nats:"
}

func (a *workerAssignment) effectsName() string  { return a.Name + ".effects" }
func (a *workerAssignment) consumerName() string { return natsbus.ConsumerName(a.Name, a.topicName()) }

func (a *workerAssignment) jsonLine() ([]byte, error) {
	line, err := json.Marshal(a)
	return append(line, '\n'), err
}

func readAssignment(r *bufio.Reader) (*workerAssignment, error) {
	var a workerAssignment
	line, err := r.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	if err != nil {
		return nil, fmt.Errorf("read what to do from standard input: %w: this command is started by the demo", err)
	}
	return &a, bus.ValidTopic(a.topicName())
}
