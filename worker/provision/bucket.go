package provision

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	kvflow "github.com/onceish/onceish/flow/kv"
	natsgroup "github.com/onceish/onceish/group/nats"
	"github.com/onceish/onceish/worker/config"
)

// buckets are those that the worker uses on NATS.
func (p *planner) buckets() (parts []part, err error) {
	members, groups, err := natsgroup.BucketConfigs(nil)
	if err != nil {
		return nil, err
	}
	of := &p.section.Buckets
	// Members: their rows expire as they did when the bucket was made.
	parts = append(parts, p.bucket(members, &of.Members, fieldDirect), p.bucket(groups, &of.Groups, fieldDirect, fieldMaxAge))
	if p.c.Mongo.URI != "" {
		return parts, nil
	}
	if len(p.c.Subscriptions) > 0 {
		marks, err := kvdedupe.BucketConfig(&kvdedupe.Options{Bucket: p.c.NATS.Bucket})
		if err != nil {
			return nil, err
		}
		parts = append(parts, p.bucket(marks, &of.Marks, fieldMsgTTL, fieldMaxAge))
	}
	if p.sharesLimits() {
		limits, err := kvflow.BucketConfig(nil)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p.bucket(limits, &of.Limits, fieldMsgTTL))
	}
	return parts, nil
}

func (p *planner) sharesLimits() bool {
	return slices.ContainsFunc(p.c.Subscriptions, func(s config.Subscription) bool { return s.Rate != nil && s.Rate.Shared })
}

// bucket is one whose stream is made with the configuration, and needs these fields of it beside
// those that make any stream a bucket.
func (p *planner) bucket(made jetstream.StreamConfig, b *config.Bucket, needed ...string) part {
	made.Storage = storageOf(b.Storage)
	made.MaxBytes = limitOf(b.MaxBytes)
	made.Replicas = cmp.Or(b.Replicas, p.c.NATS.Replicas, 1)
	return &streamPart{
		api: p.api, kind: KindBucket, name: strings.TrimPrefix(made.Name, "KV_"), want: made, needed: append(needed, fieldPerSubject, fieldDiscard),
		given: trueNames(map[string]bool{fieldStorage: b.Storage != "", fieldMaxBytes: b.MaxBytes != 0, fieldReplicas: b.Replicas != 0}),
	}
}
