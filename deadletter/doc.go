// Package deadletter looks after dead letters: it lists and counts them, drops them, and redrives
// their events.
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
// The store must be the one that keeps the marks of the group. In any other the row stays dead, and
// the group acknowledges the copy unrun.
package deadletter
