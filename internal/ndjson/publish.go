package ndjson

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/onceish/onceish/bus"
)

// Options of Publish. The zero value means the defaults.
type Options struct {
	// IDField is the JSON field that is a line's identity. Empty: "id" where a line is a JSON
	// object that has it; other lines get a fresh id each.
	IDField string
	// Parse makes an event of a line, which it may keep. The topic, IDField and KeyField must be
	// empty then. Nil: the line is the data.
	Parse func(line []byte) (bus.Event, error)
	// KeyField is the JSON field that is the key of a line's event. Empty: none.
	KeyField string
	// Order says which lines keep their order although the bus fails to store one at first. The
	// others are stored in their order while it does not fail.
	Order Order
	// MaxBytes is the longest line. Zero: 1 MiB.
	MaxBytes int
	// Patience is how long publishing is tried again while nothing gets stored. Zero: 30 s.
	Patience time.Duration
	// Refused is told of each line that cannot be stored, and why. It is called by two goroutines.
	Refused func(line int, err error)
	// ForceStop, once closed, gives up what ctx's end leaves a few seconds for. Nil: never.
	ForceStop <-chan struct{}
	// Progress is told how many were stored, after each batch.
	Progress func(Published)
}

// Order says which lines keep their order, because the next one is published when the one before is
// confirmed.
type Order uint8

const (
	// OrderAll is the order of all lines: one is in flight.
	OrderAll Order = iota
	// OrderKeys is the order of the lines that have one key: one of each key is in flight. Lines
	// without a key have none.
	OrderKeys
	// OrderNone lets many lines be in flight, whatever their keys.
	OrderNone
)

const (
	defaultMaxBytes = 1 << 20
	defaultPatience = 30 * time.Second
)

// Published is what became of the lines.
type Published struct {
	// Stored lines are on the bus; Duplicates of them were there already.
	Stored     int `json:"stored"`
	Duplicates int `json:"duplicates"`
	// Refused lines can never be stored as they are.
	Refused int `json:"refused"`
}

// Publish publishes each line as an event, in the Order that is asked for, and returns
// when all are stored or refused. It tries again what may pass, for which a repeat is safe: a
// message has the same id each time. ErrNotStored: some lines are not stored; the message says
// which. When ctx ends it reads no more, and gives what it has read a few seconds.
//
// A read that does not return keeps a goroutine after ctx has ended, unless the reader
// has SetReadDeadline.
func Publish(ctx context.Context, b bus.Publisher, topic string, r io.Reader, o *Options) (Published, error) {
	opts := o.withDefaults()
	parse := opts.Parse
	if parse == nil {
		if err := bus.ValidTopic(topic); err != nil {
			return Published{}, fmt.Errorf("publish lines: %w", err)
		}
		p := lineParser{topic: topic, idField: opts.IDField, keyField: opts.KeyField}
		parse = func(line []byte) (bus.Event, error) { return p.parseLine(line, time.Now()) }
	}
	p := &linePublisher{bus: b, o: &opts, backlog: newLineBacklog()}
	reader := &lineSource{parse: parse, lines: newLineReader(r, opts.MaxBytes), to: p}
	reading, giveUp := context.WithCancel(ctx)
	defer giveUp()
	read := make(chan error, 1)
	go func() {
		defer p.backlog.closePut()
		read <- reader.readAll(reading)
	}()
	stop := context.AfterFunc(reading, func() {
		unblockRead(r)
		p.backlog.closePut()
	})
	defer stop()
	err := p.runUntilEmpty(ctx)
	if err != nil {
		giveUp()
	}
	return p.finishPublish(ctx, errors.Join(err, readError(reading, read)))
}

func (o *Options) withDefaults() Options {
	c := *cmp.Or(o, &Options{})
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultMaxBytes
	}
	c.Patience = cmp.Or(c.Patience, defaultPatience)
	if c.Refused == nil {
		c.Refused = func(int, error) {}
	}
	if c.Progress == nil {
		c.Progress = func(Published) {}
	}
	return c
}

// unblockRead ends a read that waits, where that is possible.
func unblockRead(r io.Reader) {
	if d, ok := r.(interface{ SetReadDeadline(t time.Time) error }); ok {
		_ = d.SetReadDeadline(time.Now()) // regular files cannot, and do not wait
	}
}

// readError is why reading ended. Nobody waits for a read that may never return.
func readError(ctx context.Context, read <-chan error) error {
	select {
	case err := <-read:
		if ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
	}
	return nil
}
