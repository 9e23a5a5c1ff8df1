package mongo

import "github.com/onceish/onceish/internal/mongoserver"

// ttlField is what the TTL index is on; a document without it never expires.
const ttlField = "expireAt"

// collectionLayout is what the collection has to be.
func collectionLayout() *mongoserver.Layout {
	return &mongoserver.Layout{Unfit: ErrCollection, Indexes: []mongoserver.Index{{Fields: []string{ttlField}, Expires: true}}}
}
