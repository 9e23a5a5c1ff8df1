// Package notify lets writers in one process notify drainers in others that rows were added. It
// uses plain NATS messages: there is no stream, and nothing is stored.
//
// # Delivery semantics
//
// At most once: a message that nobody receives is gone. That loses nothing and repeats nothing,
// because a drainer finds rows without it, if later (outbox.Options.PollMax).
package notify
