// Package nats keeps schemas in a JetStream key-value bucket, DefaultBucket. It needs nats-server
// 2.11 or later.
//
//	store, err := natsschema.New(ctx, nc, &natsschema.Options{Replicas: 3})
//
// # Delivery semantics
//
// Versions are created, never replaced: of several processes that add one under one number, one
// succeeds. Reading asks the leader of the bucket's stream, never a replica, which may lag. A call
// while the connection is down fails at once.
//
// The keys are TOPIC.TYPE.NUMBER. In the parts letters, digits and "-_/" stand for themselves,
// other bytes are =XX. Values are JSON. Do not delete a key below others: versions are counted from
// 1 without a gap.
//
// # Permissions
//
// A user needs, with the bucket's name for B:
//
//	publish    $JS.API.STREAM.INFO.KV_B
//	           $JS.API.STREAM.MSG.GET.KV_B
//	           $KV.B.>, to add versions
//	           $JS.API.STREAM.CREATE.KV_B, to make the bucket
//	subscribe  its inbox, _INBOX.> by default
//
// In a JetStream domain D, "$JS.API." reads "$JS.D.API.", and "$KV." reads "$JS.D.API.$KV.".
package nats
