// Package memory is a dedupe store within the process, for tests and for single processes. It keeps
// 128 bits of a key's SHA-256, not the key: a done key of any length costs about 140 bytes, at most
// 150. Hashes over 32 bytes, the reasons of what is dead-lettering, and the history of what has
// failed, at most 13 KiB of a key, come on top.
//
// # Delivery semantics
//
// A [Store] keeps every promise of [dedupe.Store], [dedupe.Claimer], [dedupe.Reopener],
// [dedupe.Inspector] and [dedupe.Watermarker] for as long as its process lives, and none beyond:
// when the process ends, however it ends, all is forgotten. What that costs:
//
//   - Events that were handled and acknowledged stay so, as long as the bus keeps the group's
//     cursor.
//   - Events that were handled, and not acknowledged before the end, run again.
//   - Copies that arrive after the restart run again, however long ago the first one was handled.
//   - Attempts and crashes count from zero: an event that ends the process is never given up for
//     its crashes.
//   - A dead letter that was being stored may be published a second time under another id.
//   - The watermark is gone: a group whose cursor the bus lost as well starts as a new group does.
//
// Nothing is lost by it, much may be repeated. Two processes do not see each other's claims: for a
// group of several processes, or effects that must not be repeated after a restart, use a store
// that outlives the process.
//
// A store is bounded in keys. At its bound it refuses new keys with [dedupe.ErrFull] rather than
// forget others for them: keys that it keeps are answered, extended and settled as ever, and there
// is room again once keys have expired. Of a batch that does not fit, what fits is carried out.
// What was claimed, and has expired meanwhile, can be settled beyond the bound.
//
// Owners are compared by 64 bits of a seeded hash of their nonce. Tokens grow over the whole store,
// so they never start again, not even after a key has expired.
package memory
