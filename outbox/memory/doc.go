// Package memory is an outbox within the process: for tests of what adds to one, and of drainers.
// It keeps nothing beyond the process.
//
// # Delivery semantics
//
// A [Queue] keeps every promise of [outbox.Queue] and [outbox.Admin] for as long as its process
// lives, and none beyond: what was not published when the process ends is lost. Add is all or
// nothing, and knows no transactions: what it adds is committed.
//
// Sent rows are kept for [Options.Keep], the latest [Options.MaxSent] of them. All others are kept
// until they are sent or dropped, however many they are.
//
// Nothing runs in the background: what time brings about happens in the next call. Nothing waits,
// so the package works inside testing/synctest.
package memory
