// Package ledger is the layout of the field that UpdateOnce keeps in a document of
// the user's, beside what it changes: the events whose change is applied, and the events that wait
// to be published. The Updater writes it, and the Mover takes the events out. Whoever else writes
// it voids the promises of both.
//
//	_onceish: {
//	  seq      changes applied so far; never goes back
//	  since    changes applied since the ledger was pruned, less what the pruning allowed for
//	  applied  [{k, id, until, done}], oldest first:
//	             k      Mark(key, step)
//	             id     _id of the event's dedupe row, for as long as done is absent
//	             until  its TTL is over then
//	             done   when its dedupe row was seen done
//	  events   [event], in the order of their changes; absent when there is none
//	  waits    true for as long as there are any: what the partial index is on
//	  base     sequence of the last event that was taken out; see Queue
//	}
//
// # Delivery semantics
//
// An event that waits has no sequence of its own: it is base plus its place in events, from 1.
// events grows at its end only, and is shortened at its front only, by an update that is
// conditional on base and sets it to the sequence of the last one taken. So whoever takes events
// out, and however often, gives them the same sequences.
package ledger
