// Package jetstream is the bus on NATS JetStream.
//
//	nc, err := nats.Connect(url, jetstream.ConnectionOptions(0)...)
//	b, err := jetstream.New(nc, nil)
//
// The connection stays the caller's: it is never closed here, and whoever opened it closes it after
// [Bus.Close]. The server is nats-server 2.11.0 or later, see [OldestServer].
//
// # The connection
//
// What nats.Connect does by default ends a consumer or repeats its work: it gives up after 60
// reconnects, and after the second login that a server refuses, as while its accounts are
// reloaded; and it takes six minutes to notice that a server is frozen, while leases and deadlines
// end after 30 s. [ConnectionOptions] avoid all of that. [New] and Subscribe warn where a
// connection does not.
//
// # Delivery semantics
//
// As in package bus: at least once, one durable pull consumer per (group, topic), see
// [ConsumerName]. Events travel in the CloudEvents binding for NATS, written in binary mode and
// read in binary and structured mode. A plain message is an event too: its ID is its Nats-Msg-Id,
// or else its position. What claims to be a CloudEvent and cannot be read as one is delivered with
// Delivery.Malformed set.
//
// What the server has stored for itself (a marker in the place of an event that it removed, a
// schedule of what it is to publish) is delivered with Delivery.ServerMessage set, and consumers
// acknowledge it unrun. A rollup, a counter's increment, a message of a batch and a deletion in a
// key-value bucket are events: a client published them.
//
// Servers from 2.11 to 2.12 store the header Traceparent as traceparent, whatever the case
// of its letters.
//
// The events of a partition ([bus.Partition]) lie one token below its topic: those of the topic
// "order.of8.3" have the subject "order.of8.3.%", see [bus.SubjectOf], and in place of the %
// others have the key that a subject transform of the stream has put there. So one consumer reads
// them with one filter. What a client publishes to "order.of8.3" itself is not read: whoever
// subscribes to partition 0 finds it, and logs an error. A cursor is rewound by a reset of the
// consumer to its ack floor; before nats-server 2.14 it is deleted and made again with the same
// configuration, other Sources of it end with [bus.ErrConsumerLost], and streams of interest
// retention are refused, because they would drop what waits.
//
// Answers to deliveries are plain publishes that nobody confirms. While the connection is down, and
// until the consumer behind it was looked at again, acks and terms are kept and naks and extensions
// are refused: a late ack is of an event that is done, but a late nak or extension moves a delivery
// that may be somebody else's by then.
//
// An event that was nacked with a delay stays unsettled on the server, which counts it against the
// consumer's max_ack_pending. A Source raises that while such events wait, up to
// Options.MaxAckPending, and lowers it afterwards.
//
// [bus.ErrConsumerLost] is returned when the consumer or its stream was deleted, recreated, or
// restored from a copy so that sequences went back. Subscribing again recreates the consumer from
// SubscribeOptions.Resume, or finds the one that another process made.
//
// # Permissions
//
// A user that may do everything for one account needs no thought. With Options.BindOnly nothing is
// ever made or changed, and these are enough, S being the stream, C the consumer, and _INBOX the
// connection's inbox prefix:
//
//	publish    $JS.API.STREAM.NAMES            (not with Options.Stream)
//	publish    $JS.API.STREAM.INFO.S
//	publish    $JS.API.CONSUMER.INFO.S.C
//	publish    $JS.API.CONSUMER.MSG.NEXT.S.C
//	publish    $JS.ACK.S.C.>                   ($JS.ACK.*.*.S.C.> where the server uses the newer form)
//	subscribe  _INBOX.>
//
// Without BindOnly, single messages are read after a reconnect and where a group goes on, to see
// whether the stream is the same: publish $JS.API.STREAM.MSG.GET.S. A user that may not do that
// loses Options.APITimeout and that check.
//
// SubscribeOptions.Rewind takes, in addition, and from nats-server 2.14 also with BindOnly:
//
//	publish    $JS.API.CONSUMER.RESET.S.C      (before nats-server 2.14 DELETE and CREATE)
//
// Read takes these, C being any name, and from a work queue or an interest stream only the first
// two:
//
//	publish    $JS.API.STREAM.INFO.S           (and STREAM.NAMES, unless Options.Stream is set)
//	publish    $JS.API.STREAM.MSG.GET.S
//	publish    $JS.API.CONSUMER.CREATE.S.>
//	publish    $JS.API.CONSUMER.MSG.NEXT.S.C
//	publish    $JS.API.CONSUMER.DELETE.S.C     (else the server deletes it after a minute)
//	subscribe  _INBOX.>
//
// DeleteEvents takes these:
//
//	publish    $JS.API.STREAM.MSG.GET.S
//	publish    $JS.API.STREAM.MSG.DELETE.S
//	subscribe  _INBOX.>
package jetstream
