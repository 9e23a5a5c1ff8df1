// Package exec has handlers that hand events to commands: one process for each event ([Handler]),
// or one that runs on ([Stream]).
//
// # Delivery semantics
//
// What a command does is an effect of the kind "anything": no two unexpired leases of an event, and
// never again once its success is marked. When the worker dies after the effect and before the
// mark, the event is handed over again with the same idempotency key. A command ends with its
// worker, also with one that was killed by SIGKILL, and its children with it.
//
// # One process for each event
//
// [Handler] runs a line by /bin/sh, one process for each event. The event's data is its standard
// input. Its environment is the worker's, without credentials (NATS_URL, NATS_CREDS, NATS_NKEY,
// NATS_KEY, MONGODB_URI, ONCEISH_ADMIN_TOKEN, and OTEL_EXPORTER_OTLP_HEADERS with its variants for
// traces and metrics), without what a service manager told the worker (NOTIFY_SOCKET,
// WATCHDOG_USEC, WATCHDOG_PID), and with these, all of which are always set:
//
//	CE_ID CE_SOURCE CE_TYPE CE_TIME   attributes of the event; CE_TIME is empty if it is unknown
//	TOPIC GROUP EVENT_KEY             where it was published, who handles it, what orders it (may be empty)
//	IDEMPOTENCY_KEY                   the same in every attempt: hand it to the services that the command calls
//	ATTEMPT                           1, then one more for each run that failed
//	TOKEN                             grows with every takeover of the event
//	TRACEPARENT TRACESTATE            trace context as W3C has it; empty if there is none
//
// They come from whoever publishes: quote them as any other input ("$CE_ID"). No value becomes a
// part of the command line. An event whose attributes cannot be in an environment (a NUL, more than
// 128 KiB) is dead-lettered.
//
// Exit status 0 is done, 65 never try again, 69 unavailable, 75 throttled (consumer.Unavailable,
// consumer.Throttled), everything else try again later; the end of what the command wrote to
// standard error (2 KiB) is the reason. A command that ends with 126 or 127 before any has
// succeeded ends the worker: it does not exist, or cannot be executed. So does a worker that cannot
// start any for 5 s while none runs. Neither is an attempt. Output that cannot be passed on changes
// no answer. What it leaves running in its process group is killed when it ends. When it is stopped
// (run limit, lease lost, drain time-out) its process group gets SIGTERM, and SIGKILL after a grace
// of 2 s; what it exits with after that is not a success. What it had exited with before counts,
// also where its run was cancelled meanwhile.
//
// With a [Reaper] what commands have left behind is waited for once it has ended, so that a program
// which is the first process of a container needs no init beside it. A run takes no thread of this
// process, and up to six open files.
//
// # Commands that run on
//
// [Stream] runs a line by /bin/sh once, and hands it all events. Each is a line of JSON on its
// standard input, which it answers, in any order, by a line on its standard output:
//
//	{"delivery":1,"id":"1","source":"onceish","type":"t","topic":"t","group":"g","key":"","idempotency_key":"…","attempt":1,"token":1,"headers":{},"data":{}}
//	{"delivery":1,"status":"done"}
//	{"delivery":2,"status":"retry","reason":"busy","after":"30s"}
//	{"delivery":3,"status":"throttled","after":"30s"}
//	{"delivery":4,"status":"unavailable","reason":"the bank does not answer"}
//	{"delivery":5,"status":"permanent","reason":"no such customer"}
//
// delivery counts from 1 in each life of the command. time and datacontenttype are left out if they
// are unknown. Data that is JSON is in data, other data in data_base64, and none in neither. reason
// is for people; after is a Go duration or a number of seconds, else the backoff applies.
//
// # Batches
//
// [Stream.HandleBatch] is for a consumer.Batch: the lines of a batch follow one another, and say
// which place they have in it. Each is answered by a line of its own, as ever:
//
//	{"delivery":7,"batch":{"index":0,"size":2},"id":"1",…}
//	{"delivery":8,"batch":{"index":1,"size":2},"id":"2",…}
//
// A batch may be smaller than it was: an event that runs alone makes one of size 1, and so may
// events that a command which has ended did not read.
//
// # How commands end
//
// A command that ends is started again: at once if it has answered anything, else after 100 ms
// doubling to 5 s. What it has never read of its input goes to the next one. Of what it has read
// and not answered, an event that was alone has failed: an attempt. Several are suspects: they come
// again without having used an attempt, and each runs alone in a second command, until it is done;
// so an event that ends the command takes no others with it. Up to 10,000 suspects are remembered,
// in this process. A line that is no answer, or is longer than 64 KiB, ends the command likewise.
//
// At its run limit an event has failed if the command has read it, and the command is stopped;
// events that have not reached theirs are retried, and no attempt is counted. When the lease is
// lost or draining times out the answer is waited for, for the grace. Without one the event comes
// again, and the command may still be at work on it. In this process it is then not handed over
// again: the next run gets the answer, also a "done" that came between the two. What waits for a
// command that does not start, or does not read, uses no attempt either.
//
// A command that ends with 126 or 127 before anything was answered ends the worker: it does not
// exist, or cannot be executed. When the worker ends, so does the command's input; SIGTERM follows
// after a grace of 2 s, and SIGKILL after another. What the command has started ends with it.
//
// Under systemd set KillMode=mixed, so that SIGTERM reaches the worker and not its commands; the
// worker lets them finish.
package exec
