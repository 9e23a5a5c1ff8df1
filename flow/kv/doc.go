// Package kv keeps the limits that processes share in a bucket of JetStream's key-value store.
// Prefer flow/mongo where there is a MongoDB: a replicated bucket may refuse fast updates of one
// key that are right, each refusal costs another round trip, and so a contended limit starts less
// than it may. Imported elsewhere it is called kvflow.
//
// # Delivery semantics
//
// Each change of a row is one publish that expects the revision that was read. Rows are read from
// the stream's leader. Times are those of the leader: the machine's monotonic time and the offset
// of the leader's clock, measured each minute, after every error and after a reconnect.
//
// The bucket is made by the first call that needs it, or by [Store.Prepare], with a TTL for each
// key. In a bucket without one, limits are kept, and idle rows stay; the log says so once.
//
// # Permissions
//
// Publish $KV.<bucket>.>, $JS.API.STREAM.INFO.KV_<bucket> and STREAM.MSG.GET.KV_<bucket>, and
// STREAM.CREATE.KV_<bucket> unless the bucket is there. [Store.List] takes the two that read.
package kv
