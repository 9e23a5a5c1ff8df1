// Package wake has writers in one process wake drainers in others, by messages of NATS itself: no
// stream, nothing stored.
//
// # Delivery semantics
//
// At most once: a message that nobody hears is gone. That loses nothing and repeats nothing, for a
// drainer finds rows without it, if later (outbox.Options.PollMax).
package wake
