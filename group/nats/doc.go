// Package nats keeps the rows of groups in two JetStream key-value buckets: MembersBucket, whose
// rows expire, for members and leases, and GroupsBucket for pauses and plans. It needs
// nats-server 2.11 or later.
//
//	store, err := natsgroup.New(ctx, nc, &natsgroup.Options{Replicas: 3})
//
// # Delivery semantics
//
// Every reading asks the leaders of the buckets' streams, never a replica, which may lag. Ages are
// judged by the server's time. Writes that name a revision are compare-and-swap. A call while the
// connection is down fails at once.
//
// Buckets that are missing are made, also while a [Store] is used: members join again at their next
// heartbeat, until which a pause does not wait for them, and pauses are lifted, for they were
// deleted. Owners of partitions write themselves in again. With Options.BindOnly a missing bucket
// is an error, [ErrNoBucket]; owners go on. A bucket that is restored from a copy has its old
// revisions and plans again: until the next heartbeat, members may be taken to have confirmed what
// they have not, and a partition may have two owners.
//
// # Rows
//
// The keys are m.<group>.<member>, l.<group>.<lease>, p.<group>.<scope> and a.<group>.<topic>, who
// is assigned which partition. In the parts letters, digits and "-_/" stand for themselves, other
// bytes are =XX. Values are JSON. Deleting a pause's key with nats kv del lifts the pause, but
// nobody confirms it: resume it instead. Deleting a member's key takes its partitions away.
//
// # Permissions
//
// A user needs, with each bucket's name for B:
//
//	publish    $KV.B.>
//	           $JS.API.STREAM.INFO.KV_B
//	           $JS.API.STREAM.MSG.GET.KV_B
//	           $JS.API.STREAM.CREATE.KV_B, to make the bucket
//	           $JS.API.CONSUMER.CREATE.KV_B.>, $JS.API.CONSUMER.DELETE.KV_B.> and $JS.FC.KV_B.>, to
//	           watch GroupsBucket
//	subscribe  its inbox, _INBOX.> by default
//
// In a JetStream domain D, "$JS.API." reads "$JS.D.API.", and "$KV." reads "$JS.D.API.$KV.". The
// server does not answer a user without a permission: calls end in [ErrNoAnswer], and name the
// subject. A user who may not watch reads pauses and plans at each heartbeat.
package nats
