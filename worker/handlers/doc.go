// Package handlers has the handlers that the worker command offers: they hand an event to something outside of the process.
//
// # Delivery semantics
//
// What a handler hands over is an effect of the kind "anything": no two unexpired leases of an event, and never again once its
// success is marked. When the worker dies after the effect and before the mark, the event is handed over again with the
// same idempotency key. A command ends with its worker, also with one that was killed by SIGKILL, and its children with it.
//
// # Commands
//
// [Exec] runs a line by /bin/sh, one process for each event. The event's data is its standard input. Its environment is the worker's,
// without NATS_URL, NATS_CREDS and MONGODB_URI, and with these, all of which are always set:
//
//	CE_ID CE_SOURCE CE_TYPE CE_TIME   attributes of the event; CE_TIME is empty if it is unknown
//	TOPIC GROUP EVENT_KEY             where it was published, who handles it, what orders it (may be empty)
//	IDEMPOTENCY_KEY                   the same in every attempt: hand it to the services that the command calls
//	ATTEMPT                           1, then one more for each run that failed
//	TOKEN                             grows with every takeover of the event
//
// They come from whoever publishes: quote them as any other input ("$CE_ID"). No value becomes a part of the command line. An event
// whose attributes cannot be in an environment (a NUL, more than 128 KiB) is dead-lettered.
//
// Exit status 0 is done, 65 never try again, everything else try again later; the end of what the command wrote to standard error
// (2 KiB) is the reason. What it leaves running in its process group is killed when it ends. When it is stopped (run limit, lease lost,
// drain time-out) its process group gets SIGTERM, and SIGKILL after a grace of 2 s; what it exits with after that is not a success.
//
// Under systemd set KillMode=mixed, so that SIGTERM reaches the worker and not its commands; the worker lets them finish.
package handlers
