// Package cursor keeps a group's position in a topic: the bus's consumer, and the watermark from
// which that is recreated after it was lost. It knows the stream by its events, not by its time of
// creation, which a restore changes. Sequence and stored time of the watermark, and of earlier ones
// (its trail), show whether the stream is still the one whose events the group has handled, and up
// to where.
//
//	the stream has                           the group goes on
//	the watermark's event                    after it
//	no event under the watermark's sequence  after the newest event of the trail that is left, or
//	                                         at the first event; what is covered stays done
//	another event there, or ends before it   after the newest event of the trail that it has; the
//	                                         watermark moves back to there
//	none of the events that the group knows  at the first event, if all it has was stored later
//	                                         than the watermark; otherwise ErrStreamReplaced
//
// This holds for a stream under the same name and time of creation as for another one: a copy may
// have either.
//
// A process that has not noticed yet that the stream came back from an older copy looks up the
// event of a watermark before it stores that, and does not store one that the stream has lost.
// Should the restore happen between the two, another process repairs it: one that knows a
// watermark whose event the stream has, and finds the stored one below that, or at an event that
// the stream does not have, stores its own again.
package cursor
