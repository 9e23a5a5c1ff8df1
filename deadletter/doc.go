// Package deadletter looks after dead letters: it lists and counts them, edits and drops them, and
// redrives their events.
//
// # Delivery semantics
//
// [Topic.List] reads a dead-letter topic in the order in which the letters were stored, and settles
// nothing. A list that goes on after the position of a letter neither skips nor repeats one, even
// if letters are stored or deleted meanwhile.
//
// [Topic.Redrive] publishes the event of a letter again, under its identity, for one group alone:
//
//	reopen the group's row ──▶ publish the copy, confirmed ──▶ delete the letter
//
// The event is always in the letter, in the stream of its topic, or in both. Each step can be
// repeated: whoever is interrupted redrives the letter again, and two who redrive it at the same
// time disturb no one. The copies of one letter have one message id, so the bus stores one of them
// while it remembers the id, and the group's marks recognise all others: the event is handled once.
// A letter whose event has been handled since is redriven without a run. If the event fails again,
// the group stores a new letter.
//
// [Topic.Edit] stores a letter with a changed event beside the one that it supersedes, in one step.
// Whether a letter is superseded is found in the topic each time, at most a second late in a bulk
// redrive. What is superseded is not redriven; it is deleted after the copy of the edited event is
// stored and before the edit itself, so no letter is left that would run the event as it was. Where
// both are redriven all the same, by people who do not know of each other, the marks let one run,
// and the group gives up the other as a reused id.
//
// The store must be the one that keeps the marks of the group. In any other the row stays dead, and
// the group acknowledges the copy unrun.
package deadletter
