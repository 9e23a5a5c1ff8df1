package consumer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/group"
)

// Order is which events wait for which. Orders can be compared. The zero Order is ByKey.
type Order struct {
	kind       orderKind
	partitions int
}

type orderKind uint8

const (
	byKey orderKind = iota
	unordered
	byTopic
	exclusive
	partitioned
)

// The orders that need no number. See Partitions for the other one.
var (
	// ByKey runs events with one order key (Options.OrderKey) one after the other, in each process.
	ByKey = Order{kind: byKey}
	// Unordered runs events in no order.
	Unordered = Order{kind: unordered}
	// ByTopic runs the events of each topic one after the other, in each process.
	ByTopic = Order{kind: byTopic}
	// Exclusive lets one process of the group at a time work on the topic, as ByKey does, and all
	// others stand by: events of one order key run one after the other in the whole group. It needs
	// Options.Session. Every process of the group must use it.
	Exclusive = Order{kind: exclusive, partitions: 1}
)

// Partitions returns the order in which events of one key run one after the other in the whole
// group, for a topic that is published in n partitions (bus.Partitioned): each belongs to one
// process of the group at a time, and moves from one to another whole. n must be from 1 to
// bus.MaxPartitions, and the same in every process and publisher. It needs Options.Session. The
// order key is what the publisher has partitioned by, so Options.OrderKey is refused.
func Partitions(n int) Order { return Order{kind: partitioned, partitions: n} }

var orderNames = map[orderKind]string{byKey: "key", unordered: "none", byTopic: "topic", exclusive: "exclusive"}

// partitionsPrefix begins the text of Partitions(n).
const partitionsPrefix = "partitions:"

// String returns "key", "none", "topic", "exclusive" or, for 8 partitions, "partitions:8".
func (o Order) String() string {
	if o.kind == partitioned {
		return partitionsPrefix + strconv.Itoa(o.partitions)
	}
	return orderNames[o.kind]
}

// ParseOrder returns the Order with a text, as String returns it.
func ParseOrder(text string) (Order, error) {
	for kind, name := range orderNames {
		if name == text {
			o := Order{kind: kind}
			if kind == exclusive {
				o = Exclusive
			}
			return o, nil
		}
	}
	if number, ok := strings.CutPrefix(text, partitionsPrefix); ok {
		n, err := strconv.Atoi(number)
		if err == nil && strconv.Itoa(n) == number && n >= 1 && n <= bus.MaxPartitions {
			return Partitions(n), nil
		}
		return Order{}, fmt.Errorf("order %.64q: the number of partitions must be from 1 to %d, as in \"partitions:8\"", text, bus.MaxPartitions)
	}
	return Order{}, fmt.Errorf("order %.64q is unknown: use key, none, topic, exclusive, or partitions:N", text)
}

// NumPartitions returns n of Partitions(n), and 0 for any other Order.
func (o Order) NumPartitions() int {
	if o.kind != partitioned {
		return 0
	}
	return o.partitions
}

// needsSession reports whether the order holds over all processes of the group.
func (o Order) needsSession() bool { return o.kind == exclusive || o.kind == partitioned }

// takesOrderKey reports whether Options.OrderKey decides about the order.
func (o Order) takesOrderKey() bool { return o.kind == byKey || o.kind == exclusive }

// keyOf returns the order key of an event by the rule of its order.
func (o *Options) keyOf(e *bus.Event) string {
	switch o.Order.kind {
	case unordered:
		return ""
	case byTopic:
		return e.Topic
	case partitioned:
		return e.Key
	case byKey, exclusive:
	}
	return o.OrderKey(*e)
}

// validate checks what of the options depends on the order.
func (o Order) validate(options *Options) error {
	var err error
	if n := o.partitions; o.kind == partitioned && (n < 1 || n > bus.MaxPartitions) {
		err = fmt.Errorf("Options.Order is Partitions(%d): it must be from 1 to %d", n, bus.MaxPartitions)
	}
	if o.needsSession() && options.Session == nil {
		err = errors.Join(err, fmt.Errorf("%w, this process's place in its group (group.Join): Options.Order is %s", ErrNoSession, o))
	}
	if options.OrderKey != nil && !o.takesOrderKey() {
		err = errors.Join(err, fmt.Errorf("Options.OrderKey is set, and Options.Order is %s, %s: remove one of them", o, o.ruleOverKey()))
	}
	return err
}

// ruleOverKey says why there is no order key of one's own.
func (o Order) ruleOverKey() string {
	switch o.kind {
	case unordered:
		return "which has no order"
	case byTopic:
		return "whose key is the topic"
	case byKey, exclusive, partitioned:
	}
	return "whose key is what the publisher has partitioned by"
}

// checkSubscription refuses an order over all processes on a pattern, or by the session of another
// group.
func (o Order) checkSubscription(topic, groupName string, session *group.Session) error {
	if !o.needsSession() {
		return nil
	}
	if err := bus.ValidTopic(topic); err != nil {
		return fmt.Errorf("Options.Order is %s, which needs one topic: %w", o, err)
	}
	if logical := bus.LogicalTopic(topic); logical != topic {
		return fmt.Errorf("Options.Order is %s, and %q is a partition: subscribe to %q", o, topic, logical)
	}
	if name := session.Group(); name != groupName {
		return fmt.Errorf("Options.Session is of the group %q: it must have joined %q", name, groupName)
	}
	return nil
}
