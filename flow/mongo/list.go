package mongo

import (
	"context"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/flow"
)

// List implements flow.Lister, by the index of _id.
func (s *Store) List(ctx context.Context, prefix, after string, most int) (flow.Listing, error) {
	ctx = driver.NewSessionContext(ctx, nil)
	at, err := s.clock.Read(ctx)
	if err != nil {
		return flow.Listing{}, s.nameCall("server's time", err)
	}
	from := bson.E{Key: "$gte", Value: prefix}
	if after >= prefix && after != "" {
		from = bson.E{Key: "$gt", Value: after}
	}
	o := options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(most) + 1).SetProjection(bson.D{{Key: "data", Value: 1}, {Key: "revision", Value: 1}})
	found, err := s.rows.Find(ctx, bson.D{{Key: "_id", Value: bson.D{from}}}, o)
	if err != nil {
		s.clock.Distrust()
		return flow.Listing{}, s.nameCall("list", err)
	}
	var docs []bson.Raw
	if err := found.All(ctx, &docs); err != nil {
		s.clock.Distrust()
		return flow.Listing{}, s.nameCall("list", err)
	}
	l := flow.Listing{Now: at.Time}
	for _, doc := range docs {
		key, _ := doc.Lookup("_id").StringValueOK()
		if !strings.HasPrefix(key, prefix) {
			break // so have all after it another one
		}
		if len(l.Rows) == most {
			l.Next = l.Rows[most-1].Key
			break
		}
		l.Rows = append(l.Rows, flow.KeyedRow{Row: readRow(doc), Key: key})
	}
	return l, nil
}

// readRow is the row in a document. What has none is malformed to flow, which repairs it.
func readRow(doc bson.Raw) flow.Row {
	revision, _ := doc.Lookup("revision").AsInt64OK()
	_, data, _ := doc.Lookup("data").BinaryOK()
	return flow.Row{Data: append([]byte(nil), data...), Revision: uint64(revision)}
}
