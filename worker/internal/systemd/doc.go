// Package systemd tells the service manager that has started the process how it is: that it is
// ready, that it stops, and, where the manager has a watchdog, that it makes progress. It speaks
// the protocol of sd_notify(3), which other managers understand as well.
//
// The messages go out in this order, each from one goroutine:
//
//	READY=1 → WATCHDOG=1 … → STOPPING=1
package systemd
