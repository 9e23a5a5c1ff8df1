// Package simulation simulates a consumer group in virtual time: several processes, each a
// protocol.Machine with a clock of its own, over the memory bus and the memory store, with a fault
// between any two steps. One goroutine and one seed decide everything, so a seed that fails is
// played again exactly.
//
// What a driver of a Machine does in one go is many steps here: a call is sent, applied, and
// answered, each at a time of its own, or never, or applied after the caller gave up on it.
// Processes crash, freeze and go on, drain and restart, pause; the store is slow or away, loses
// rows, refuses items, and has no room; the bus forgets what is under way, loses its cursor, or
// comes back from an older copy. Handlers fail, snooze, get stuck, or kill their process. The
// receiver that they call is away or throttles for a time, and never takes some events.
//
// In one seed of four the topic is a partition: one process owns it at a time, under a row that it
// renews in the group's store, and is the only one to read it. It hands the partition over now and
// then, or crashes, or is frozen or cut off for longer than its row is valid; the group's store is
// away, and learns late, or never, that an owner is done. A new owner rewinds the cursor. So does
// one that misses a delivery, for a fetch that failed, or a pull of a former owner, has taken it.
//
// The journal (what was published, run, effected, dead-lettered) and the ledger (what the store
// answered) lie outside of what is simulated. They are where the promises are checked:
//
//	I1   nothing confirmed is lost: it has an effect, or exactly one dead letter
//	I2   in mode transactional an effect is made once, whatever happens, and marked
//	I3   an effect is repeated only for a fault, or a handler that failed
//	I4   an ack is sent only for what is marked or dead-lettered, and a key is dead only once its
//	     letter is stored
//	I5   nothing is marked but after a success
//	I6   there is one unexpired claim of a key, tokens grow, and what is stale changes nothing
//	I8   no run starts while paused or the gate is shut, nor more than the gate has room for
//	I9   no run starts while draining, and a drain ends
//	I10  once the faults end, all is settled in bounded time, and nothing is left in memory
//	I11  attempts and crashes are counted once each, and only they make a dead letter
//
// and of the protocol's own rules: third (of a lease is left at a start), locked (no claim is
// renewed in its own transaction), due (no run before), order (of a key in a process), twice (no
// key runs beside itself in a process), alone (suspects, and what killed its process), payload (one
// of two under an id is handled), known (a success is not forgotten), silent (a lost owner sends
// nothing), exposed (so many events have started and are not settled), absent (what an owner knows
// is written where its row is only gone), blame (what never got through in an outage of everything
// is given up for its age alone), probe (one event runs at a time while the receiver is taken to be
// unavailable), room (a store at its bound takes what it has let in; in mode seen/mark nothing is
// claimed while a mark is refused), history (each run that failed is in it once, and nothing else),
// letter (each is stored once, however late it is published again).
//
// Of partitions: owner (only the owner fetches, claims and begins anything), handover (an owner
// begins when the one before has drained, is gone, or its row has expired), lowest (what it reads
// first is the lowest unsettled event, or lies below it), sequence (over all processes an event of
// a key begins when all earlier ones are settled, and the first effects come in their order),
// beside (over all processes no two events of a key run at once, but for a run whose claim was
// taken over from an owner that was frozen or cut off), silent (who has lost the partition sends
// nothing), cancel (and its runs are cancelled).
package simulation
