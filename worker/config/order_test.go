package config_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker/config"
)

// orderMistakes are about orders, and about partitions of topics.
func orderMistakes() map[string][]string {
	const order = "5:12: subscriptions[0].order: "
	partitioned := with("order: partitions:8")
	pattern := strings.Replace(partitioned, "order.placed", "order.*", 1)
	return map[string][]string{
		with("order: exclusive"): nil,
		partitioned:              nil,
		partitioned + "name: billing-0\npartitions: {order.placed: 8, other: 3}\n": nil,
		smallest + "name: billing-0\n":                                             nil,
		with("order: partitions"):                                                  {order + `"partitions" is none of key, none, topic, exclusive or partitions:8: did you mean "partitions:8"?`},
		with("order: partitions:0"):                                                {order + `"0" is not a number of partitions from 1 to 1024: write partitions:8`},
		with("order: partitions:1025"):                                             {order + `"1025" is not a number of partitions from 1 to 1024: write partitions:8`},
		with("order: partitions:08"):                                               {order + `"08" is not a number of partitions from 1 to 1024: write partitions:8`},
		pattern:                                                                    {order + `"order.*" is a pattern, and this order is for one topic: write a subscription for each topic, or another order`},
		smallest + "partitions: 8\n":                                               {`5:13: partitions: it is a number, but a mapping is wanted: put topics and their numbers of partitions below it, such as {order.placed: 8}`},
		smallest + "partitions: {o: 0}\n":                                          {`5:17: partitions.o: "0" is not a whole number from 1 to 1024`},
		smallest + "partitions: {o.*: 3}\n":                                        {`5:14: partitions: topic "o.*" has a wildcard: name one topic`},
		smallest + "partitions: {o.of8.3: 3}\n":                                    {`5:14: partitions: "o.of8.3" is a partition: write its topic, o: 8`},
		partitioned + "partitions: {order.placed: 16}\n": {
			order + `it is partitions:8, and this process publishes "order.placed" to 16 partitions (partitions): write the same number in both places`,
		},
		with("order: key") + "partitions: {order.placed: 16}\n": {
			order + `this process publishes "order.placed" to 16 partitions (partitions), which order key does not read: write order: partitions:16`,
		},
		strings.Replace(smallest, "order.placed", "order.placed.of8.3", 1): {
			`3:12: subscriptions[0].topic: "order.placed.of8.3" is a partition: subscribe to "order.placed", with order: partitions:8`,
		},
		partitioned + "  - {topic: order.placed.>, handler: {log: }}\n": {
			`6:13: subscriptions[1].topic: "order.placed.>" also takes the events of the partitions of "order.placed", of subscriptions[0]: a group handles each event once; use another group`,
		},
		"group: g\nsubscriptions:\n  - {topic: a.>, handler: {log: }}\n  - {topic: a, handler: {log: }, order: partitions:3}\n": {
			`4:13: subscriptions[1].topic: its partitions are below it, where "a.>" of subscriptions[0] takes their events too: a group handles each event once; use another group`,
		},
		partitioned + "  - {topic: wanted, handler: {publish: order.placed}}\n": {
			`6:40: subscriptions[1].handler.publish.topic: subscriptions[0] reads "order.placed" in partitions, and this process does not publish to them: ` +
				"write it with their number below partitions, at the top of the file",
		},
		partitioned + "provision: {streams: [{name: A, subjects: [order.placed]}]}\n": {
			`6:43: provision.streams[0].subjects: the stream takes "order.placed", and not its partitions below it: add that topic with .> too`,
		},
		partitioned + "provision: {streams: [{name: A, subjects: [order.placed, order.placed.>], by_key: order.placed}]}\n": nil,
		partitioned + "provision: {streams: [{name: A, subjects: ['order.>'], by_key: other}]}\n": {
			`6:64: provision.streams[0].by_key: in how many partitions "other" is, nothing says: write it below partitions, at the top of the file, or order: partitions:8 for its subscription`,
		},
		smallest + "partitions: {other: 3}\nprovision: {streams: [{name: A, subjects: ['order.>'], by_key: other}]}\n": {
			`6:64: provision.streams[0].by_key: the stream does not take what is below "other": add that topic with .> to its subjects`,
		},
	}
}

// How a topic is published to is the same in the file, in a flag and in the environment.
func TestPartitionsAreWhatFileFlagAndEnvironmentSay(t *testing.T) {
	clean(t)
	want := map[string]int{"order.paid": 8, "b": 3}
	check := func(c *config.Config, _ config.Problems, err error) {
		t.Helper()
		if err != nil || !maps.Equal(c.Partitions, want) || c.Name != "n-0" {
			t.Errorf("%+v %v", c, err)
		}
	}
	check(load(t, smallest+"name: n-0\npartitions: {order.paid: 8, b: 3}\n"))
	check(load(t, smallest+"name: n-1\npartitions: {c: 9}\n", "--partitions", "order.paid=8, b=3", "--name", "n-0"))
	t.Setenv("ONCEISH_PARTITIONS", "order.paid=8,b=3")
	t.Setenv("ONCEISH_NAME", "n-0")
	check(load(t, smallest))
	if _, _, err := load(t, smallest, "--partitions", "order.paid"); err == nil || !strings.Contains(err.Error(), `--partitions: "" is not a whole number from 1 to 1024`) {
		t.Error(err)
	}
}

// Flags of a program say the order of its subscriptions.
func TestTuningSaysTheOrder(t *testing.T) {
	t.Parallel()
	tuning, err := tuned(t, "--order", "none", "--order", "order.placed=partitions:8")
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]consumer.Order{"order.placed": consumer.Partitions(8), "other": consumer.Unordered} {
		if o, err := tuning.Apply(topic, nil); err != nil || o.Order != want {
			t.Errorf("%s: %+v, %v", topic, o, err)
		}
	}
}
