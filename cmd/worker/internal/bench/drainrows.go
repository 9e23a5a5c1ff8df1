package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// indexRows makes the index by which pending rows are found.
func indexRows(ctx context.Context, rows *mongo.Collection) error {
	if _, err := rows.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{Key: fieldStatus, Value: 1}}}); err != nil {
		return fmt.Errorf("make the index of the baseline's rows: %w", err)
	}
	return nil
}

// drainRows is the baseline of a drainer: it reads pages of pending rows, publishes each with
// nats.go's PublishMsgAsync, and updates the page. It has no leases, no order and no retries.
func (m *measurement) drainRows(ctx context.Context, rows *mongo.Collection) error {
	for {
		ids, stamps, err := m.readPage(ctx, rows)
		if err != nil {
			return fmt.Errorf("read the rows of the baseline: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		if err := errors.Join(m.plain.send(ctx, stamps), m.plain.finish(ctx)); err != nil {
			return err
		}
		sent := bson.D{{Key: "$set", Value: bson.D{{Key: fieldStatus, Value: statusSent}, {Key: fieldSentAt, Value: time.Now()}}}}
		if _, err := rows.UpdateMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, sent); err != nil {
			return fmt.Errorf("update the rows of the baseline: %w", err)
		}
	}
}

func (m *measurement) readPage(ctx context.Context, rows *mongo.Collection) (ids []string, stamps []eventStamp, err error) {
	cur, err := rows.Find(ctx, bson.D{{Key: fieldStatus, Value: statusPending}}, options.Find().SetLimit(2*sendAtOnce))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, cur.Close(ctx)) }()
	for cur.Next(ctx) {
		var row struct {
			ID   string `bson:"_id"`
			Data []byte `bson:"data"`
		}
		if err := cur.Decode(&row); err != nil {
			return nil, nil, err
		}
		s, err := parseEventData(row.Data, m.cell.total())
		if err != nil {
			return nil, nil, err
		}
		ids, stamps = append(ids, row.ID), append(stamps, s)
	}
	return ids, stamps, cur.Err()
}
