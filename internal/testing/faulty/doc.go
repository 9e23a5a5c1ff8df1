// Package faulty makes calls to a bus, a store or an outbox go wrong, for tests: they fail, take
// long, or are done and yet answered with an error. What goes wrong is a [Plan]; bustest.Faulty,
// dedupetest.Faulty and outboxtest.Faulty wrap what is tried, which knows nothing of it.
package faulty
