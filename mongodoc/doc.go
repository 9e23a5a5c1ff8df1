// Package mongodoc changes documents of MongoDB once for each event, and moves the events that the
// changes bring about into an outbox. It needs no transactions.
//
// # Documents that carry their own marks
//
// [Updater.UpdateOnce] changes one document of another collection, once for each event, on any
// server: the change, the mark and the events that it brings about are one write, conditional on
// the mark not being there. A run that is frozen and goes on, a copy that runs beside it, and a
// repeat after a crash find the mark. What is kept is in the reserved field of the document:
//
//	_onceish.applied   [{k, id, until, done}]: the marks; k is a hash of key and step, id that of the dedupe row
//	_onceish.seq       how many changes were made
//	_onceish.since     how many since the marks were looked through
//	_onceish.events    events that wait for a [Mover]; _onceish.waits and _onceish.base go with them
//
// Nobody else may write it. Who deletes the document, replaces it or takes the field out forgets
// its marks, and the next repeat of an event changes it again. Who copies the document copies the
// marks. A reader can leave the field out by the projection {_onceish: 0}.
//
// A mark takes about 100 bytes, and 65 once its event was seen done. Each 100 changes of a
// document, or a quarter of the marks that it has, they are looked through in a write of their own:
// a mark goes an hour after the event's dedupe row was seen done, for no run starts after that; or
// when its TTL is over, unless the row is there and says that the event may be redelivered
// (claimed, free, or dead and so redrivable). A letter that is redriven when its row has expired
// too runs as a new event. So a document can take about two changes a second for ever, by events
// that are done soon; at UpdateOptions.MaxApplied it refuses with [ErrRingFull] rather than
// forgets. Every change writes the whole document, marks included: for hot documents keep fewer, or
// change several.
//
// The collection must not be capped or a view, and not be sharded by anything but _id, unless the
// filter has the shard key and the unique key contains it. Dropping a unique index that filters
// rely on voids their promise.
//
// # Events in documents
//
// Events that UpdateOnce left in documents are there together with the change that
// they tell of, on any server. A [Mover] takes them out: it adds them as pending rows, in their
// order, and then takes them from the document, on the condition that nobody else did. When it ends
// in between, the next one adds them again: the rows are there, under the same ids. Each document
// keeps the sequence of its events, which grows also if the document is replaced; events of several
// documents with one key have no order among each other. An event whose topic, source and id
// another one has, with another payload, becomes a dead row beside that one's. A document whose
// reserved field somebody else has written keeps its events, and holds up no other; [Mover.Healthy]
// tells of it. Whoever deletes or replaces a document drops the events that wait there. Databases
// that have such documents are named in [MoverOptions]; a collection is found by its name in the
// collection onceish.waiting, and its documents by a partial index.
//
// # Privileges
//
// UpdateOnce takes find and update on its collection, listIndexes for filters without _id, and to
// publish createIndex, and find and insert on onceish.waiting. A Mover takes find and update on the
// collections that are named there, and find and insert on onceish.waiting itself. The role
// readWrite has all of them.
package mongodoc
