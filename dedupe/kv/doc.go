// Package kv keeps dedupe state in a JetStream key-value bucket: durable without a second server.
// It needs nats-server 2.11 or later, see [OldestServer].
//
//	store, err := kvdedupe.New(ctx, nc, &kvdedupe.Options{Replicas: 3})
//
// # Delivery semantics
//
// A [Store] has every ability of package dedupe but transactions. Each write to a key names the
// revision that it replaces, so of two that compete one wins, and the loser reads what won and
// judges by it. So does a call that is repeated because its answer was lost: it finds what it
// did under its nonce. Every read asks the leader of the bucket's stream, never a replica,
// which may lag.
//
// What is confirmed is as durable as the stream. With one replica JetStream confirms what the
// operating system has taken, and syncs it to the disk every two minutes (jetstream.sync_interval):
// the process may be killed at any time, but a crash of the machine can take back what was
// confirmed since, and an event acknowledged on such a mark may run again. Three replicas on
// machines that do not fail together, or sync_interval: always, close that gap. A bucket in memory
// is warned of, for it forgets with its servers.
//
// Leases and expiry are judged on the server's clock: they run from when a revision was stored.
// The local clock is only used as a stopwatch, from a measurement of the server's time that is
// repeated each minute, after errors, after reconnects, and when this machine slept or its wall
// clock was set. What is uncertain about it is added to leases. Beyond a second, and while it
// cannot be measured again, nothing is judged ([ErrClockUncertain]). The servers of a cluster must
// agree on the time among themselves: what their clocks differ by is taken from leases when the
// leader changes.
//
// The token of a claim is the revision in which it was taken. A bucket that is deleted, or restored
// from an older copy, starts its tokens again, and forgets marks like any store would.
//
// A bucket that is full, or an account at its limit, is [dedupe.ErrFull]: nothing is dropped to
// make room. Of a bucket that is bounded (max_bytes, max_msgs) an eighth is kept free, 64 KiB at
// least in bytes, for the rows of keys that were let in: those can be renewed and settled when new
// ones are refused. Where there is no room for a long reason or a history, the reason is cut short
// and the history left out.
//
// A bucket should have as many replicas as the stream whose events it marks, or the loss of a
// server takes the marks and not the events. With Options.Topics it is made so, and one that has
// fewer is warned of.
//
// # The row
//
// The bucket has a key e.<topic>.<group>.<id> for each event and w.<group>.<topic> for each
// watermark. In the parts letters, digits and "-_/" stand for themselves, other bytes are =XX, an
// empty part is "=", and one that would exceed 512 bytes is "=sha256-" and its hash. Values are
// JSON, to be read with nats kv get:
//
//	{"v":1,"state":"claimed","owner":"<nonce>","span":"30s","ttl":"168h0m0s","hash":"…"}
//
//	state     claimed, free, dead-lettering, done or dead
//	owner     nonce of the last claim; it stays when that is settled, so that a repeat is recognised
//	token     revision in which the owner took the key, if not this one
//	span      from when the revision was stored: the lease (claimed, dead-lettering), the time until it is due (free)
//	ttl       from when the revision was stored: when the row is over, though its message may stay a little longer
//	since     when the key was first claimed, if not in this revision
//	hash      of the payload that was claimed first
//	attempts, crashes, reason, letter, note   as in dedupe.Claim
//	history   last failed attempts, the earliest first: dedupe.Attempt
//	spare     nothing: bytes for the next revision, in a bucket that is bounded
//
// Deleting a key with nats kv del makes its event unknown. A value that this package did not write
// is never claimed over: [dedupe.Claim].Err says so, and how to remove it. In the mode seen/mark it
// counts as fresh, and is overwritten by the next mark. One of a later version of this package, by
// its version or its state, is answered held, and left to processes of that version.
//
// # Permissions
//
// A user needs, with the bucket's name for B:
//
//	publish    $KV.B.>
//	           $JS.API.STREAM.INFO.KV_B
//	           $JS.API.STREAM.MSG.GET.KV_B
//	           $JS.API.INFO and $JS.API.STREAM.CREATE.KV_B, to make the bucket
//	           $JS.API.STREAM.NAMES and $JS.API.STREAM.INFO.<stream>, for Options.Topics
//	subscribe  its inbox, _INBOX.> by default
//
// In a JetStream domain D, "$JS.API." reads "$JS.D.API.", and "$KV." reads "$JS.D.API.$KV.". [New]
// tries each way without leaving a trace. The server does not answer a user without a permission:
// [New] ends in [ErrNoAnswer], and names the subject.
package kv
