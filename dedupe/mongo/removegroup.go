package mongo

import (
	"context"
	"regexp"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// RemoveGroup implements [dedupe.GroupRemover]. It looks at every row of the collection.
// Marks in documents stay, as do those few under the hash of a key that was too long: until
// their TTL is over.
func (s *Store) RemoveGroup(ctx context.Context, group string) (int, error) {
	result, err := s.own.DeleteMany(driver.NewSessionContext(ctx, nil), bson.D{expr.Field("_id", bson.D{expr.Field("$regex", rowsOfGroup(group))})})
	if err != nil {
		return 0, s.callFailed("remove group", err)
	}
	return int(result.DeletedCount), nil
}

// rowsOfGroup matches the _id of each row and watermark of a group. A topic has no ':' but where it
// is a hash, and its '%' begin escapes: no watermark of another group's topic is taken for one of
// the group's rows.
func rowsOfGroup(group string) string {
	middle := dedupe.Key{Group: group}.String() // between the topic and the id
	return "^(" + regexp.QuoteMeta(watermarkPrefix) + ")?(sha256:)?([^:%]|%[0-9A-F]{2})*" + regexp.QuoteMeta(middle)
}
