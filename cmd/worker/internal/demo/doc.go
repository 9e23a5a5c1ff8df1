// Package demo kills workers while they work, and counts what became of their events.
//
// [Run] publishes events, some of them two and three times as a careless producer does, and starts
// worker processes that handle them: each effect is one line in a journal, a file that neither the
// bus nor the store knows of. Handlers fail now and then, processes are killed by SIGKILL while
// they work, and each is replaced at once. When the group has settled everything, the journal tells
// which events have their effect, and which have it more than once.
//
// With [Options.Atomic] an effect is a change of a MongoDB document instead: one document for each
// event counts its effects, and each change carries its mark, as mongodoc's UpdateOnce makes it.
// The documents are counted in the end. The journal then only tells how it goes, and how many runs
// found their effect made.
//
// [Work] is what a worker process does: consumer.SubscribeExactlyOnce in a worker.Worker, and
// nothing made for the demo but the handler.
//
// # Delivery semantics
//
// That of the mode claimed of package consumer, whose promise the counts put to the test. No event
// may be without its effect (lost). A repeat is explained if an earlier effect of the event was
// made by a process that was then killed before it knew the mark to be stored. Each such effect
// explains one repeat, and none that was made before the kill. A kill explains at most as many
// repeats as its process may have begun and not yet marked, 16: its concurrency. Any other repeat
// breaks the promise.
//
// Between a change that carries its mark and that mark there is nothing: with [Options.Atomic] no
// repeat is explained, and any breaks the promise.
//
// A machine that stands still for longer than a lease breaks it too: claims end while their workers
// live. The verdict says so then.
//
// The times of effects and kills are those of the machine's clock, which is not to be
// set meanwhile.
//
// What the demo makes on its servers (a stream, a bucket or a collection) has a fresh name, and is
// removed in the end, also on failure. A demo that is killed itself leaves it behind; its
// processes die with it.
package demo
