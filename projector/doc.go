// Package projector keeps collections of MongoDB that events make, such as the users as they are
// now. [New] makes a projection whose documents are each of the latest event of their key,
// [NewReduction] one whose documents are of all events of their key. [Projection.HandleBatch] and
// [Projection.Handle] are handlers for a subscription. Several projections of one topic are several
// groups, each with its own pace, lag, pauses and dead letters.
//
// # Delivery semantics
//
// The documents of a projection of New are what the events make when they are handled one after the
// other, in the order of the stream and once each. They are so whatever the order of delivery,
// however often an event is delivered, however many processes handle events of a key at the same
// time, and wherever they are killed, once every event was handled. It takes neither partitions nor
// transactions. A document keeps the position of its event (the creation of the stream, and the
// sequence), and an event changes nothing unless its position is higher. A copy that was redriven
// or replayed to the group has the position of its event (consumer.Attempt.Original), so a dead
// letter of last week does not overwrite what has happened since. An edited letter, and a copy that
// a publisher has stored again, have their own: the marks of the group leave out the latter, and
// where it overtakes its original it is handled in its place.
//
// The events of a document must come from one stream. A stream that was made again is newer than
// the one before, and everything in it. What a collection has of the project's own, it keeps in the
// reserved field of documents, _onceish, and in documents that [Visible] leaves out:
//
//	_onceish.position  {incarnation, sequence}: of the event that the document is of
//	_onceish.withheld  fields whose value is another document's
//	_onceish.hidden    true: not a document to readers
//	_onceish.deleted   when; a tombstone
//
// A tombstone stays in place of a document that was deleted, for an older event may still be
// handled. It is kept for ever, or for [Options.TombstoneTTL].
//
// # Unique fields
//
// A unique index refuses whatever comes second, and with many processes anything may come second.
// So it is not the order of arrival that decides here, but the events that had the value, all that
// there ever were: a hidden document for each value keeps who owns it, and an event changes that
// only if its position is higher (LastWins) or lower (FirstWins) than that of the owner's. A
// document without the right to its value is stored without the field, which is withheld, and shows
// it when the right becomes its own. This is the outcome of handling events one after the other,
// when with LastWins each takes its value from whoever has it, and with FirstWins a value is never
// given to a second document, also when its owner has let it go or is deleted. DeadLetter has the
// documents of FirstWins, and gives the events that met the value of another document to people;
// which of two events that is does depend on the order of arrival. No policy refuses a change
// because of what another document has at that moment: that depends on all that went before, and
// only one process that handles everything in order could decide it.
//
// While events are being handled a value may be shown by nobody for a moment, and never by two.
//
// # Rebuild
//
// A [Rebuild] reads the events of the topic from the first one into a shadow collection beside the
// live one, with its options and indexes. Events go on to be handled meanwhile. Diff compares the
// two, and Swap puts the shadow in the place of the live collection by a rename. Everything that a
// rebuild knows lies in the shadow, and goes along with the rename, so that it can be killed at any
// step and gone on with by another process:
//
//	(nothing) ──Fill──▶ filling ──Fill──▶ filled ──Swap: rename──▶ renamed ──read the rest──▶ done
//	                       │                 │                        ▲            │
//	                       └──────Drop───────┘                        └── Finish ──┘ after a crash
//
// Between the rename and the rest, what processes have written to the old collection at the last
// moment is missing from the new one; the events are in the stream, and the rest brings them. A
// projection whose Func has changed is rebuilt after the processes with the new one have replaced
// the others. To keep the old documents until readers have moved, use another group and another
// collection instead.
package projector
