// Package onceish is the root of an exactly-once-ish consumer framework. At-least-once buses deliver twice; Onceish makes the effect
// happen once, and says how far that promise goes. The package itself is empty.
//
// To embed a consumer in a service, start with package consumer. To implement a bus or a store, start with the contracts in packages
// bus and dedupe, and with the suites that hold them, bustest and dedupetest.
package onceish
