// Package command runs shell commands that do not outlive the process that wanted them.
//
// # Delivery semantics
//
// A command runs in a process group of its own. The group ends with the command, with its ctx
// (SIGTERM, a grace, SIGKILL), and with the process that started it, also when that one is killed
// by SIGKILL: a second process, the guard, holds the reading end of a pipe from it and kills what
// is left of all runs when the pipe breaks. The command line begins only once the guard has been
// told its process group: there is no moment at which a process can die and leave a command behind.
//
// A process that leaves its group (setsid) is found by its environment, where there is a /proc to
// read: every run has a mark of its own in the variable ONCEISH_RUN. It is looked for when a run is
// stopped and when the process has died, not when a command that a [Runner] ran has ended by
// itself: that is how it leaves something behind on purpose. A [Process] leaves nothing behind. A
// process that leaves its group and drops its environment as well (setsid env -i) is not found.
package command
